// Package provider is the one place that knows which providers there are and how they are wired: what makes a cluster of a topology, brings it
// up, finds its programs and reaches it from outside. The command line and the suites hand its values to harness/experiment.
package provider

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/harness/subject"
)

// Lab says where the lab provider keeps things; the command line and the suites make their providers from it.
type Lab struct {
	StateDir string
	CacheDir string
	BinDir   string // absolute, or empty
	Program  string // the drydock binary
	NoImage  bool   // run kubeadm even where a saved cluster could be booted
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
		Bootstrap: bootstrapper(t, l.Progress), Progress: l.Progress, NoImage: l.NoImage,
	}
}

// Subjects builds the programs of hack/subjects into the cache.
func (l Lab) Subjects() subject.Builder {
	return subject.Builder{Source: l.Store().Source, Dir: filepath.Join(l.CacheDir, "subjects"), Progress: l.Progress}
}

// Name is the provider's name in reports.
func (Lab) Name() string { return "lab" }

// For makes the provider of one topology's clusters.
func (l Lab) For(t cluster.Topology) (cluster.Provider, error) { return l.Provider(t), nil }

// Provide makes the programs of a Kubernetes version available.
func (l Lab) Provide(ctx context.Context, version string) error {
	return lab.Provide(ctx, l.Store(), version)
}

// Driver is the command that runs drydock with the arguments, on the same directories.
func (l Lab) Driver(ctx context.Context, args ...string) *exec.Cmd {
	args = append(args, "--state-dir", l.StateDir, "--cache-dir", l.CacheDir)
	if l.BinDir != "" {
		args = append(args, "--bin-dir", l.BinDir)
	}
	return exec.CommandContext(ctx, l.Program, args...)
}

// Env is what a user's own program needs to reach a lab: KUBECONFIG, and DRYDOCK, the command line for `$DRYDOCK shell MACHINE -- COMMAND`.
func (l Lab) Env(ctx context.Context, c cluster.Cluster) ([]string, error) {
	at, ok := c.(*lab.Lab)
	if !ok {
		return nil, fmt.Errorf("%T is not a lab", c)
	}
	path, err := Kubeconfig(ctx, at)
	if err != nil {
		return nil, err
	}
	return []string{
		"KUBECONFIG=" + path, "DRYDOCK=" + l.Program, "DRYDOCK_STATE_DIR=" + l.StateDir, "DRYDOCK_CACHE_DIR=" + l.CacheDir,
	}, nil
}

// Kubeconfig writes the admin's kubeconfig of a lab, for use from the host, and returns its path.
func Kubeconfig(ctx context.Context, l *lab.Lab) (string, error) {
	raw, err := kubeadm.AdminKubeconfig(ctx, l, "https://"+l.HostEndpoint())
	if err != nil {
		return "", err
	}
	path := KubeconfigPath(l)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return "", fmt.Errorf("kubeconfig: %w", err)
	}
	return path, nil
}

// KubeconfigPath is where it is written.
func KubeconfigPath(l *lab.Lab) string { return filepath.Join(l.Dir(), "kubeconfig") }

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
