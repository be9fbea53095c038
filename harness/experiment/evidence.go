package experiment

import (
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/plan"
)

// Evidence is all that the verdict on one cell of a run is made of: what was planned, done and seen, and never what was made of it. It is kept in the
// run's directory, so that anybody can judge the run again, later, by the checks of another day.
type Evidence struct {
	Schema   string          `json:"schema"`
	Label    string          `json:"label,omitempty"`
	Always   []Check         `json:"always"` // what the scenario asks for
	Finally  []Check         `json:"finally"`
	Planned  []PlannedFault  `json:"planned"`
	Receipts []plan.Receipt  `json:"receipts"`
	Steps    []plan.StepDone `json:"steps"`
	Upgrade  []plan.StepDone `json:"upgrade,omitempty"` // of them, or of another process, those of upgrades
	Record   health.Record   `json:"record"`
	Broken   bool            `json:"broken,omitempty"` // off, by an interrupt: what it did not come to it has not shown
}

// PlannedFault is a fault of the plan, whether it ever began or not.
type PlannedFault struct {
	ID     string  `json:"id"`   // of its receipt
	Step   string  `json:"step"` // and of its window
	Name   string  `json:"name"` // what would be done, to whom
	During []Check `json:"during,omitempty"`
	Skip   string  `json:"skip,omitempty"`  // why it has nothing to do, known when the plan was made
	Lacks  string  `json:"lacks,omitempty"` // why it could not be done there, known when the plan was made: it was to show something, and has not
}

// evidenceSchema names the shape; evidence of another one is not judged.
const evidenceSchema = "drydock.dev/evidence/v1alpha1"

// kept is the journal's word that a cell's evidence is whole and on the disk.
type kept struct {
	Label string `json:"label,omitempty"`
	plan.Kept
}

// evidenceName is the file of a cell, relative to the run's directory.
func evidenceName(label string) string {
	if label == "" {
		label = "run"
	}
	return filepath.Join(plan.EvidenceDir, label+".json.gz")
}

// keep writes the evidence, and then says so in the journal.
func (e *Evidence) keep(dir string, journal *plan.Journal) error {
	return keepEvidence(dir, e.Label, e, journal)
}

// keepEvidence writes a file of evidence, and then says so in the journal: a journal without that word is of a run that was cut off.
func keepEvidence(dir, label string, evidence any, journal *plan.Journal) (err error) {
	k := kept{Label: label, Kept: plan.Kept{File: evidenceName(label)}}
	path := filepath.Join(dir, k.File)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // what clients wrote and what objects said
	if err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	z := gzip.NewWriter(io.MultiWriter(f, sum))
	if err := errors.Join(json.NewEncoder(z).Encode(evidence), z.Close(), f.Sync()); err != nil {
		return fmt.Errorf("evidence: %s: %w", path, err)
	}
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	k.Bytes, k.Sum = st.Size(), hex.EncodeToString(sum.Sum(nil))
	return journal.Write("evidence", k)
}

// readEvidence reads a cell's evidence of a run's directory.
func readEvidence(dir, label string) (*Evidence, error) {
	var e Evidence
	if err := loadEvidence(dir, label, &e); err != nil {
		return nil, err
	}
	if e.Label != label {
		return nil, fmt.Errorf("evidence: it is of cell %q, cell %q was asked for", e.Label, label)
	}
	return &e, schemaIs(e.Schema, evidenceSchema)
}

func loadEvidence(dir, label string, into any) error {
	f, err := openEvidence(dir, evidenceName(label))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("evidence: %s: %w", evidenceName(label), err) // a run is judged the same wherever it lies
	}
	err = json.NewDecoder(z).Decode(into)
	if err == nil {
		_, err = io.Copy(io.Discard, z) // its checksum is at its end, behind the document
	}
	if err != nil {
		return fmt.Errorf("evidence: %s: %w", evidenceName(label), err)
	}
	return nil
}

// openEvidence opens a file below a run's directory, wherever that came from: nothing in it leads out.
func openEvidence(dir, name string) (*os.File, error) {
	f, err := os.OpenInRoot(dir, name)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return f, nil
}

// changed says that a file is not what the run has kept; empty: it is. A run of before the sums has told the size alone.
func changed(dir string, k plan.Kept) string {
	f, err := openEvidence(dir, k.File)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	switch {
	case err != nil:
		return fmt.Sprintf("evidence: %s: %v", k.File, err)
	case n != k.Bytes || k.Sum != "" && k.Sum != hex.EncodeToString(sum.Sum(nil)):
		return fmt.Sprintf("%s is not what the run has kept: it was changed, or is another run's (%d bytes, %d were kept)", k.File, n, k.Bytes)
	}
	return ""
}

func schemaIs(schema, want string) error {
	if schema != want {
		return fmt.Errorf("evidence: it is of schema %q, this program judges %q", schema, want)
	}
	return nil
}

// Judge makes the cell's part of the result.
func (e *Evidence) Judge() *plan.Result {
	r := &e.Record
	res := &plan.Result{
		Cluster:  []plan.Cluster{{Topology: r.Topology.String(), Versions: r.Final.Versions, From: e.from(r.Final.Versions)}},
		Receipts: e.receipts(), Steps: e.Steps, Probes: health.Probes(r), Host: health.HostOf(r),
	}
	if len(r.Observations) == 0 {
		res.Gaps = append(res.Gaps, "nothing was observed: the load was never started")
		return res
	}
	res.Gaps = append(append(res.Gaps, health.Silence(r)...), e.strange()...)
	res.Tolerance, res.Tables = health.Tolerance(r, e.Upgrade), slices.Concat(health.NodeLosses(r), health.Recoveries(r), health.RunbookNotes(r))
	asked := func(name string) bool { // with parameters of its own, perhaps
		return slices.ContainsFunc(append(slices.Clone(e.Always), e.Finally...), func(c Check) bool { return c.Name == name })
	}
	builtin := health.Builtin(r.Topology)
	if r.ReadOnly {
		builtin = health.Looking(r.Topology)
	}
	if r.Quiet {
		builtin = health.Quiet(r)
	}
	if len(r.Remedies) > 0 {
		builtin = append(builtin, health.Remedied)
	}
	if r.ARM != nil {
		builtin = append(builtin, health.ARMResidue)
	}
	if len(r.Tools) > 0 {
		builtin, res.Tables = append(builtin, health.DriverReportedSuccess), append(res.Tables, health.Tools(r)...)
	}
	res.ARMCalls, res.Tables = health.ARMCalls(r), append(res.Tables, health.ARMTables(r)...)
	for _, name := range builtin {
		if asked(name) {
			continue
		}
		res.Checks = append(res.Checks, e.check(Check{Name: name}, health.WhenOf(name), nil))
	}
	for _, ch := range e.Always {
		res.Checks = append(res.Checks, e.check(ch, "always", nil))
	}
	for _, p := range e.Planned {
		if p.Skip != "" {
			res.NotTested = append(res.NotTested, plan.NotTested{What: p.Name, Why: p.Skip})
			continue
		}
		w := e.window(p.Step)
		for _, ch := range p.During {
			res.Checks = append(res.Checks, e.check(ch, "during", w))
		}
	}
	for _, ch := range e.Finally {
		res.Checks = append(res.Checks, e.check(ch, "finally", nil))
	}
	e.notTested(res)
	return res
}

// receipts are those there are, as far as they can be believed, and for a planned fault that never began one that says so: it must not vanish.
func (e *Evidence) receipts() []plan.Receipt {
	there := map[string]bool{}
	for _, r := range e.Receipts {
		there[r.ID] = true
	}
	out := append([]plan.Receipt{}, e.Receipts...)
	for i, r := range out {
		if r.State != plan.Confirmed {
			continue
		}
		if why := doubt(r); why != "" {
			out[i].State, out[i].Error = plan.NotInjected, why
		}
	}
	for _, p := range e.Planned {
		if !there[p.ID] && p.Skip == "" {
			out = append(out, plan.Receipt{ID: p.ID, Fault: p.Name, Machines: []string{}, Evidence: []plan.Evidence{}, State: plan.NotInjected, Error: cmp.Or(p.Lacks, "it was planned and never began")})
		}
	}
	return out
}

// window is the time of a planned fault; one that never began has none, and its checks nothing to judge.
func (e *Evidence) window(step string) *health.Window {
	for i := range e.Record.Windows {
		if e.Record.Windows[i].ID == step {
			return &e.Record.Windows[i]
		}
	}
	return &health.Window{ID: step}
}

func (e *Evidence) check(ch Check, when string, w *health.Window) plan.Check {
	kind, err := health.FindCheck(AllChecks(), ch.Name, when)
	if err != nil {
		return plan.Check{Name: ch.Name, When: when, Verdict: plan.Unknown, Message: err.Error()}
	}
	c := kind.Judge(&e.Record, w, ch.Params)
	if e.Broken && when == "finally" && c.Verdict == plan.Fail { // what was half done was not put back: rollback does not run after an interrupt
		c.Verdict, c.Message = plan.Unknown, "the run was interrupted: "+c.Message
	}
	if why := e.refusedLate(); why != "" && ch.Name == "versions" && c.Verdict == plan.Fail {
		c.Verdict, c.Message = plan.Unknown, why+": "+c.Message
	}
	return c
}

// refusedLate says that upgrades ended with one that was refused for lateness alone, by when the host could not keep up: that no version was reached says nothing
// of the upgrade then. Empty: it does.
func (e *Evidence) refusedLate() string {
	if len(e.Upgrade) == 0 {
		return ""
	}
	last := slices.MaxFunc(e.Upgrade, func(a, b plan.StepDone) int { return a.Started.Compare(b.Started) })
	if last.Status != "failed" || !last.Late {
		return ""
	}
	why := e.Record.Overloaded(last.Ended())
	if why != "" {
		why += "; the upgrade was refused for it"
	}
	return why
}
