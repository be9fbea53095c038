package scenarios

import (
	"os"
	"path/filepath"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/release"
)

// Lab says where the lab provider keeps things; the command line and the suites make their providers from it.
type Lab struct {
	StateDir string
	CacheDir string
	BinDir   string // absolute, or empty
	Program  string // the drydock binary
	Progress Progress
}

// Progress is told of the phases of a bring-up and of the making of binaries.
type Progress interface {
	cluster.Progress
	release.Progress
}

// Store is the cache of releases. Sources are looked for above the program and the working directory.
func (l Lab) Store() *release.Store {
	wd, err := os.Getwd()
	if err != nil {
		wd = ""
	}
	return &release.Store{
		Dir: filepath.Join(l.CacheDir, "releases"), BinDir: l.BinDir, Progress: l.Progress,
		Source: release.FindSource(filepath.Dir(l.Program), wd),
	}
}

// Provider makes clusters of the topology's kind.
func (l Lab) Provider(t cluster.Topology) *lab.Provider {
	return &lab.Provider{
		StateDir: l.StateDir, Images: filepath.Join(l.CacheDir, "images"), Program: l.Program, Store: l.Store(),
		Bootstrap: Bootstrapper(t, l.Progress), Progress: l.Progress,
	}
}

// DefaultDir is an XDG base directory's place for Drydock: $XDG_STATE_HOME or ~/.local/state, say.
func DefaultDir(env, below string) string {
	if dir := os.Getenv(env); filepath.IsAbs(dir) {
		return filepath.Join(dir, "drydock")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "drydock")
	}
	return filepath.Join(home, below, "drydock")
}
