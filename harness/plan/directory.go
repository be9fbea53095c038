package plan

// The directories that a run, or work on a cluster, keeps things in beside its journal. Whoever adds one adds it to OwnDirs.
const (
	EvidenceDir  = "evidence"
	LogsDir      = "logs"
	DriverDir    = "driver"
	SubjectsDir  = "subjects"
	SnapshotsDir = "snapshots"
	TwinDir      = "twin"
	ToolDir      = "aks-engine"
	DeployedDir  = "deployed"
	CellsDir     = "cells"
)

// OwnDirs are all of them: they are moved aside with their run, and no other run is in them.
func OwnDirs() []string {
	return []string{EvidenceDir, LogsDir, DriverDir, SubjectsDir, SnapshotsDir, TwinDir, ToolDir, DeployedDir, CellsDir}
}

// OwnFiles are the files beside them, the journal last.
func OwnFiles() []string {
	return []string{"report.json", "junit.xml", "report.md", "timeline.svg", "report.html", "certificate.json", "certificate.json.sig", specFile, JournalFile}
}
