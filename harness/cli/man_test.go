package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// visible are all commands that help lists, by their paths.
func visible(root *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{root}
	for _, c := range root.Commands() {
		if !c.Hidden {
			out = append(out, visible(c)...)
		}
	}
	return out
}

// TestEveryCommandHasAnExample that is one of this command's, with flags that it has and arguments that it takes.
func TestEveryCommandHasAnExample(t *testing.T) {
	for _, c := range visible(newRoot()) {
		path := c.CommandPath()
		own := 0
		for line := range strings.Lines(c.Example) {
			typed, err := commands(line)
			if err != nil {
				t.Errorf("%s: no shell reads the example %q: %v", path, strings.TrimSpace(line), err)
			}
			for _, words := range typed {
				if words[0] != "drydock" {
					continue
				}
				found, err := accepts(words[1:])
				if err != nil {
					t.Errorf("%s: the example %q is refused: %v", path, strings.TrimSpace(line), err)
				}
				if at := found.CommandPath(); at == path || strings.HasPrefix(at, path+" ") || path == "drydock help" {
					own++
				}
			}
		}
		if own == 0 {
			t.Errorf("%s has no example of its own: %q", path, c.Example)
		}
	}
}

// TestManPages: one a command, each with its examples.
func TestManPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	answer(t, "man", dir)
	for _, c := range visible(newRoot()) {
		if c.Name() == "help" {
			continue
		}
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(page), ".SH EXAMPLE") || !strings.Contains(string(page), ".SH SYNOPSIS") {
			t.Errorf("%s: %s", c.CommandPath(), page)
		}
	}
	if hidden, _ := filepath.Glob(filepath.Join(dir, "drydock-lab-*")); len(hidden) > 0 {
		t.Errorf("pages of what is nobody's business: %v", hidden)
	}
}

// printed is what a command prints that took standard output for its own when it was made.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "stdout")
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdout
	os.Stdout = f
	answer(t, args...)
	os.Stdout = old
	raw, err := os.ReadFile(f.Name())
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestShellsComplete what can be run, and the scripts are of the shells they say.
func TestShellsComplete(t *testing.T) {
	for args, want := range map[string]string{
		"run etcd-leader-c": "etcd-leader-crash", "plan museum/": "museum/etcd-20340", "scenarios show oom-panic-k": "oom-panic-kernel", "scenarios ": "lint", "run --provider ": "staging", "": "init",
	} {
		words := strings.Split(args, " ")
		said := answer(t, append([]string{cobra.ShellCompNoDescRequestCmd}, words...)...)
		if !slices.Contains(strings.Split(said, "\n"), want) {
			t.Errorf("%q completes to %q; want %s among them", args, said, want)
		}
	}
	for shell, sign := range map[string]string{"bash": "complete -o default", "zsh": "#compdef drydock", "fish": "complete -c drydock", "powershell": "Register-ArgumentCompleter"} {
		if script := printed(t, "completion", shell); !strings.Contains(script, sign) {
			t.Errorf("%s: %q is not in the script", shell, sign)
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash to read its script")
	}
	check := exec.CommandContext(t.Context(), bash, "-n")
	check.Stdin = strings.NewReader(printed(t, "completion", "bash"))
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("bash cannot read its script: %v\n%s", err, out)
	}
}
