package labinit

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// inNamespaces runs this test again as PID 1 of namespaces like a lab's, with these variables.
func inNamespaces(t *testing.T, env ...string) {
	t.Helper()
	self := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	group := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET, UidMappings: self, GidMappings: group,
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Skipf("this machine gives no namespaces: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestALabsRootHasNothingElseOfTheHost(t *testing.T) {
	if dir := os.Getenv("LAB_DIR"); dir != "" {
		lookAround(t, dir, os.Getenv("LAB_CACHE"))
		return
	}
	dir, cache := filepath.Join(t.TempDir(), "lab"), filepath.Join(t.TempDir(), "cache")
	for _, d := range []string{dir, cache} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{ProgramFile, "file"} {
			if err := os.WriteFile(filepath.Join(d, name), []byte(d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	inNamespaces(t, "LAB_DIR="+dir, "LAB_CACHE="+cache)
}

func lookAround(t *testing.T, dir, cache string) {
	t.Helper()
	if err := enterRoot(dir, cache, ""); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/")
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"bin", "dev", "drydock", "etc", "lab", "lib", "lib32", "lib64", "libx32", "proc", "releases", "sbin", "sys", "usr"}
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) {
			t.Errorf("/%s is in the lab's root", e.Name())
		}
	}
	if _, err := os.Stat(cache); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the host's %s: error %v", cache, err)
	}
	if err := os.WriteFile("/lab/file", nil, 0o644); err != nil {
		t.Errorf("the lab's directory: %v", err)
	}
	for path, want := range map[string]string{"/releases/file": cache, "/drydock": dir} {
		if raw, err := os.ReadFile(path); err != nil || string(raw) != want {
			t.Errorf("%s: %q, %v", path, raw, err)
		}
		if err := os.Chmod(path, 0o700); !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s can be changed: error %v", path, err)
		}
	}
	if raw, err := os.ReadFile("/dev/null"); err != nil || len(raw) != 0 {
		t.Errorf("/dev/null: %q, %v", raw, err)
	}
	tr, err := trace()
	if err != nil || tr.PID == 0 || tr.Net == 0 || tr.Mount == 0 || tr.Start == 0 {
		t.Errorf("trace %+v, %v", tr, err)
	}
}
