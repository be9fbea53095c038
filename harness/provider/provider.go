// Package provider is the one place that knows which providers there are and how they are wired: what makes a cluster of a topology, brings it
// up, finds its programs and reaches it from outside. The command line and the suites hand its values to harness/experiment.
package provider

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/kind"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/cluster/staging"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/harness/subject"
)

// wiring is one provider of this build.
type wiring struct {
	name  string
	open  func(h Host) (cluster.Provider, error)
	means cluster.Means
}

// wired is every provider there is; the first is the default.
func wired() []wiring {
	return []wiring{
		{"lab", func(h Host) (cluster.Provider, error) { return h.Lab(), nil }, lab.Means()},
		{"kind", func(h Host) (cluster.Provider, error) { return h.Kind(), nil }, kind.Means()},
		{"staging", func(h Host) (cluster.Provider, error) {
			return &staging.Provider{Inventory: h.Inventory, Typed: h.Typed, StateDir: h.StateDir}, nil
		}, staging.Means()},
	}
}

// Names lists the providers of this build, the default first.
func Names() []string {
	var out []string
	for _, w := range wired() {
		out = append(out, w.name)
	}
	return out
}

// Means are what the machines of a provider have, wherever it runs.
func Means(name string) cluster.Means {
	for _, w := range wired() {
		if w.name == name {
			return w.means
		}
	}
	return cluster.Means{}
}

// Host is this host as providers know it: where they find and keep things.
type Host struct {
	StateDir string
	CacheDir string
	BinDir   string // absolute, or empty
	Program  string // the drydock binary
	Progress Progress

	// Of the lab alone:
	NoImage bool // run kubeadm even where a saved cluster could be booted
	APIPort int  // loopback port for the API server; 0 chooses a free one

	// Of staging alone:
	Inventory string // file that says how the cluster is reached and what may be done to it
	Typed     string // the cluster's own name, typed by whoever knows what may be broken
}

// Progress is told of the phases of a bring-up and of the making of binaries.
type Progress interface {
	cluster.Progress
	release.Progress
}

// Open makes the provider of a name.
func (h Host) Open(name string) (cluster.Provider, error) {
	for _, w := range wired() {
		if w.name == name {
			return w.open(h)
		}
	}
	return nil, cluster.Usagef("provider %q is not in this build; known: %s", name, strings.Join(Names(), ", "))
}

// Lab makes the lab provider.
func (h Host) Lab() *lab.Provider {
	return &lab.Provider{
		StateDir: h.StateDir, Images: h.Images(), Program: h.Program, Store: h.Store(), Progress: h.Progress, NoImage: h.NoImage, APIPort: h.APIPort,
		Kit:       filepath.Join(h.CacheDir, "vm"),
		Bootstrap: func(t cluster.Topology) lab.Bootstrapper { return bootstrapper(t, h.Progress) },
	}
}

// Kind makes the provider of kind's clusters.
func (h Host) Kind() *kind.Provider {
	return &kind.Provider{
		StateDir: h.StateDir, CacheDir: h.CacheDir, Program: h.Program, Store: h.Store(), Progress: h.Progress,
		Config: kubeadm.Cluster, Ready: whole{progress: h.Progress}.Ready,
	}
}

// Images is where saved clusters of the lab are kept.
func (h Host) Images() string { return filepath.Join(h.CacheDir, "images") }

// Store is the cache of releases.
func (h Host) Store() *release.Store {
	return &release.Store{Dir: filepath.Join(h.CacheDir, "releases"), BinDir: h.BinDir, Progress: h.Progress, Source: fixtures.Modules()}
}

// Subjects builds the programs of hack/subjects into the cache.
func (h Host) Subjects() subject.Builder {
	return subject.Builder{Source: fixtures.Modules(), Dir: filepath.Join(h.CacheDir, "subjects"), Progress: h.Progress}
}

// Drydock makes commands that run drydock on the same directories and the same provider.
func (h Host) Drydock(provider string) func(ctx context.Context, args ...string) *exec.Cmd {
	return func(ctx context.Context, args ...string) *exec.Cmd {
		args = append(args, "--state-dir", h.StateDir, "--cache-dir", h.CacheDir, "--provider", provider)
		for _, f := range []struct{ flag, value string }{{"--bin-dir", h.BinDir}, {"--inventory", h.Inventory}, {"--i-know-this-is-staging", h.Typed}} {
			if f.value != "" {
				args = append(args, f.flag, f.value)
			}
		}
		return exec.CommandContext(ctx, h.Program, args...)
	}
}

// Env is what a user's own program needs beside KUBECONFIG to reach a cluster of the provider: DRYDOCK is the command line, for
// `$DRYDOCK shell MACHINE -- COMMAND`.
func (h Host) Env(provider string) []string {
	return []string{
		"DRYDOCK=" + h.Program, "DRYDOCK_STATE_DIR=" + h.StateDir, "DRYDOCK_CACHE_DIR=" + h.CacheDir, "DRYDOCK_PROVIDER=" + provider,
		"DRYDOCK_INVENTORY=" + h.Inventory,
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
