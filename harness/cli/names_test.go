package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/lock"
)

// TestNamesCannotLeaveTheStateDirectory: whatever takes a name refuses what is no name before it touches anything.
func TestNamesCannotLeaveTheStateDirectory(t *testing.T) {
	commands := map[string]func(name string) []string{
		"down":      func(n string) []string { return []string{"down", "--", n} },
		"up":        func(n string) []string { return []string{"up", "--etcd", "only", "--name", n} },
		"status":    func(n string) []string { return []string{"status", "--", n} },
		"shell":     func(n string) []string { return []string{"shell", "etcd-1", "--name", n} },
		"logs":      func(n string) []string { return []string{"logs", "etcd-1", "--name", n} },
		"cp":        func(n string) []string { return []string{"cp", "etcd-1:/etc/hosts", "x", "--name", n} },
		"kubectl":   func(n string) []string { return []string{"kubectl", "--name=" + n, "get", "nodes"} },
		"upgrade":   func(n string) []string { return []string{"upgrade", "--to", "v1.36", "--name", n} },
		"run on":    func(n string) []string { return []string{"run", "etcd-leader-crash", "--on=" + n} },
		"resume":    func(n string) []string { return []string{"upgrade", "--resume", "--name", n} },
		"preflight": func(n string) []string { return []string{"preflight", "--to", "v1.36", "--name", n} },
		"arm serve": func(n string) []string { return []string{"arm", "serve", "--lab", n} },
	}
	for verb, args := range commands {
		for _, name := range []string{"../../victim", "..", ".", "", "a/b", "Upper", "-dash", "dash-", "*", "with space", strings.Repeat("a", 64)} {
			if verb == "arm serve" && name == "" {
				continue // no lab
			}
			t.Run(verb+" "+name, func(t *testing.T) {
				root := t.TempDir()
				state := filepath.Join(root, "state")
				kept := []string{filepath.Join(root, "victim", "kept"), filepath.Join(state, "labs", "other", "kept"), filepath.Join(state, "runs", "kept")}
				for _, k := range kept {
					if err := os.MkdirAll(k, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				a := args(name)
				code, said := command(t, append([]string{"--state-dir", state, "--cache-dir", cacheWithFakes(t)}, a...)...)
				if code != exitUsage || !strings.Contains(said, "[a-z0-9]([-a-z0-9]") {
					t.Errorf("exit code %d, %q; want 2 and the pattern", code, said)
				}
				for _, k := range kept {
					if _, err := os.Stat(k); err != nil {
						t.Errorf("lost: %v", err)
					}
				}
			})
		}
	}
}

func TestAScenariosNameIsADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.yaml")
	text := "apiVersion: drydock.dev/v1alpha1\nkind: Scenario\nmetadata: {name: ../../up}\nspec:\n  cluster: {etcd: only}\n  steps:\n  - observe: 1s\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, "run", file, "--state-dir", t.TempDir()); code != exitUsage || !strings.Contains(said, "[a-z0-9]([-a-z0-9]") {
		t.Fatalf("exit code %d, %q", code, said)
	}
}

func TestDownWaitsForWhomTheClusterBelongsTo(t *testing.T) {
	state := t.TempDir()
	dir := filepath.Join(state, "labs", "a", "upgrade")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	claim, err := lock.Try(filepath.Join(state, "locks", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, "down", "a", "--state-dir", state); code != exitUsage || !strings.Contains(said, "belongs to process") {
		t.Fatalf("exit code %d, %q", code, said)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if err := claim.Release(); err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, "down", "a", "--state-dir", state); code != exitGo {
		t.Fatalf("exit code %d, %q", code, said)
	}
}
