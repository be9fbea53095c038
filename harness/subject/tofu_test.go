package subject

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTofuIsWholeOrSaysHowToGetIt with modules of the names of the real ones, which are built as those are.
func TestTofuIsWholeOrSaysHowToGetIt(t *testing.T) {
	source, dir := t.TempDir(), filepath.Join(t.TempDir(), "to fu") // OpenTofu splits the arguments it is told at spaces
	files := map[string]string{"hack/subjects/driver/go.mod": "module example.com/driver\n", "theirs/go.mod": "module example.com/theirs\n\ngo 1.26.0\n", "theirs/main.go": "package main\n\nimport \"os\"\n\nfunc main() { print(os.Getenv(\"TF_CLI_ARGS_init\"), os.Args[1]) }\n"}
	for _, name := range []string{"opentofu", "terraform-provider-azapi"} {
		files["hack/subjects/"+name+"/go.mod"] = "module example.com/" + name + "\n\ngo 1.26.0\n\ntool example.com/theirs\n\nrequire example.com/theirs v0.0.0\n\nreplace example.com/theirs => " + source + "/theirs\n"
	}
	for path, content := range files {
		path = filepath.Join(source, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Tofu(dir); err == nil || !strings.Contains(err.Error(), "make tofu") {
		t.Errorf("of a directory without it it says %v", err)
	}
	b := Builder{Source: os.DirFS(source), Dir: t.TempDir(), Progress: silent{}}
	for range 2 { // the second time over the first
		if err := b.MakeTofu(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	program, err := Tofu(dir)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "init")
	cmd.Env = append(os.Environ(), "TF_CLI_ARGS_init=-no-color")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "-plugin-dir='"+dir+"/providers' -no-colorinit" {
		t.Errorf("it is run with %s, %v", out, err)
	}
	if err := os.Remove(filepath.Join(b.Dir, mustOne(t, b.Dir, "terraform-provider-azapi-*"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Tofu(dir); err == nil || !strings.Contains(err.Error(), "terraform-provider-azapi_v1.15.0 is missing") {
		t.Errorf("without the provider it says %v", err)
	}
}

// mustOne is the name of the program of a pattern, without its lock.
func mustOne(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	for _, f := range found {
		if !strings.HasSuffix(f, ".lock") {
			return filepath.Base(f)
		}
	}
	t.Fatal(pattern, found, err)
	return ""
}
