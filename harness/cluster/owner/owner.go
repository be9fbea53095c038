// Package owner says which clusters a provider has on this host and which process each belongs to, where the provider keeps a directory of each: who
// makes or removes one, and its maker until it is released.
package owner

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/lock"
)

// Registry is where a provider keeps its clusters.
type Registry struct {
	Word     string // what it calls one in a refusal
	StateDir string // as --state-dir says
	Clusters string // the directory in it that has one of each cluster
	Locks    string // the directory in it that has one file of each that belongs to somebody
}

// Dir is a cluster's. What is no name is refused: it could be any directory.
func (r Registry) Dir(name string) (string, error) {
	if err := cluster.CheckName("cluster", name); err != nil {
		return "", err
	}
	return filepath.Join(r.StateDir, r.Clusters, name), nil
}

// Take makes a name this process's; a UsageError says who has it.
func (r Registry) Take(name string) (*lock.Lock, error) {
	if err := cluster.CheckName("cluster", name); err != nil {
		return nil, err
	}
	l, err := lock.Try(r.lockFile(name))
	var held *lock.HeldError
	switch {
	case errors.As(err, &held):
		return nil, cluster.Usagef("%s %q: %w: wait for that process, or stop it", r.Word, name, err)
	case err != nil:
		return nil, cluster.Usagef("the state directory %s cannot be written (choose another with --state-dir): %w", r.StateDir, err)
	}
	return l, nil
}

// Locked reports whether a name is somebody's, or was and who was killed has left its lock.
func (r Registry) Locked(name string) bool {
	_, err := os.Stat(r.lockFile(name))
	return !errors.Is(err, fs.ErrNotExist)
}

func (r Registry) lockFile(name string) string { return filepath.Join(r.StateDir, r.Locks, name) }

// Names lists the clusters that have a directory, whether they live or not.
func (r Registry) Names() []string {
	entries, _ := os.ReadDir(filepath.Join(r.StateDir, r.Clusters)) // none was ever made
	var out []string
	for _, e := range entries {
		if e.IsDir() && cluster.CheckName("cluster", e.Name()) == nil {
			out = append(out, e.Name())
		}
	}
	return out
}
