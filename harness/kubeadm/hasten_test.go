package kubeadm

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHastenedRestartsTheKubelet runs the script on this machine, for a pod whose process nobody has, with a systemctl that only counts.
func TestHastenedRestartsTheKubelet(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		code    int
		want    int
	}{
		"a pod with a new manifest":           {"sleep 0.1; touch $MANIFEST; sleep 1.5", 0, 1},
		"its manifest is the old one":         {"sleep 1.2", 0, 0},
		"kubeadm failed and put the old back": {"sleep 0.1; touch $MANIFEST; sleep 1.5; exit 3", 3, 2},
		"kubeadm failed before":               {"exit 3", 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			log, pod := filepath.Join(dir, "log"), "nobody-runs-this"
			files := map[string]string{pod + ".yaml": "", "systemctl": "#!/bin/sh\necho \"$@\" >>" + log + "\n"}
			for file, text := range files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", strings.ReplaceAll(hastened, ManifestDir, dir)+c.command, "hasten", pod)
			cmd.Env = append(os.Environ(), "TMPDIR="+dir, "PATH="+dir+":"+os.Getenv("PATH"), "MANIFEST="+filepath.Join(dir, pod+".yaml"))
			var exit *exec.ExitError
			if err := cmd.Run(); (c.code == 0) != (err == nil) || errors.As(err, &exit) && exit.ExitCode() != c.code {
				t.Fatalf("%v, want exit code %d", err, c.code)
			}
			said, _ := os.ReadFile(log)
			if got := strings.Count(string(said), "restart kubelet"); got != c.want {
				t.Errorf("the kubelet was restarted %d times, want %d", got, c.want)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "tmp*")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}
