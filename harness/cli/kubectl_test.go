package cli

import (
	"strings"
	"testing"
)

func TestKubectlGetsWhatIsNotOurs(t *testing.T) {
	for given, want := range map[string]string{
		"get nodes":                                "drydock|get nodes",
		"-n kube-system get pods":                  "drydock|-n kube-system get pods",
		"--name a -n kube-system get pods":         "a|-n kube-system get pods",
		"--context x --name a get pods":            "drydock|--context x --name a get pods", // x could be the first word
		"--context=x --name=a get pods":            "a|--context=x get pods",
		"-q --state-dir /s -v=6 --name a get pods": "a|-v=6 get pods",
		"-- --name a get pods":                     "drydock|--name a get pods",
		"--name a -- -n x get pods":                "a|-n x get pods",
		"exec p -- ls":                             "drydock|exec p -- ls",
		"--name a exec -it p -- sh -c --name":      "a|exec -it p -- sh -c --name",
		"--namespace=x get pods --name y":          "drydock|--namespace=x get pods --name y",
		"--version":                                "drydock|--version",
	} {
		o := &options{}
		root := newRoot()
		name, rest, err := o.ownFlags(root, strings.Fields(given))
		if got := name + "|" + strings.Join(rest, " "); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", given, got, err, want)
		}
	}
	if _, _, err := (&options{}).ownFlags(newRoot(), []string{"--name"}); err == nil {
		t.Error("--name without a value")
	}
}
