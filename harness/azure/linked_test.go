package azure

import (
	"os/exec"
	"strings"
	"testing"
)

// TestNoClientOfKubernetesIsLinked: a Go test that only wants the twin must not build one. The linters hold each file to it; this holds what they import.
func TestNoClientOfKubernetesIsLinked(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".", "./azuretest").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		if strings.HasPrefix(pkg, "k8s.io/client-go") {
			t.Errorf("%s is linked into whatever imports the twin", pkg)
		}
	}
}
