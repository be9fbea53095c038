package subject

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

type silent struct{}

func (silent) Phase(string, ...any) func(error) { return func(error) {} }

// A command of somebody else's is built as it is: there is no main.go of ours around it.
func TestAModuleWithoutAMainIsBuiltAsItsTool(t *testing.T) {
	source := t.TempDir()
	for path, content := range map[string]string{
		"hack/subjects/theirs/go.mod": "module example.com/pin\n\ngo 1.26.0\n\ntool example.com/theirs\n\nrequire example.com/theirs v0.0.0\n\nreplace example.com/theirs => " + source + "/theirs\n",
		"hack/subjects/driver/go.mod": "module example.com/driver\n",
		"theirs/go.mod":               "module example.com/theirs\n\ngo 1.26.0\n",
		"theirs/main.go":              "package main\n\nfunc main() { print(\"theirs\") }\n",
	} {
		path = filepath.Join(source, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := Builder{Source: os.DirFS(source), Dir: t.TempDir(), Progress: silent{}}
	program, err := b.Build(t.Context(), "theirs")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), program).CombinedOutput(); err != nil || string(out) != "theirs" {
		t.Errorf("it says %q, %v", out, err)
	}
	if again, err := b.Build(t.Context(), "theirs"); err != nil || again != program {
		t.Errorf("the second time it is %s, %v; want %s", again, err, program)
	}
	if _, err := b.Build(t.Context(), "nobody"); err == nil || !strings.HasSuffix(err.Error(), "known: theirs") {
		t.Errorf("of one that is not there it says %v", err)
	}
}
