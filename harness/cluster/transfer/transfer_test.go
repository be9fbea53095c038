package transfer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

// here is a machine whose commands run on this host.
type here struct{ cluster.Machine }

func (here) Name() string { return "m" }

func (here) Exec(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	out, err := exec.CommandContext(ctx, cmd.Args[0], cmd.Args[1:]...).Output()
	return cluster.Result{Stdout: string(out)}, err
}

func (here) Shell(ctx context.Context, args []string, _ bool, streams ...*os.File) (int, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = streams[0], streams[1], streams[2]
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return -1, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// source makes what is copied: files, modes, links.
func makeSource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	must(t, os.MkdirAll(filepath.Join(src, "sub", "deep"), 0o755), os.WriteFile(filepath.Join(dir, "one"), []byte("1"), 0o640), os.WriteFile(filepath.Join(src, "run me"), []byte("#!"), 0o755),
		os.WriteFile(filepath.Join(src, "sub", "secret"), []byte("s"), 0o600), os.Symlink("sub/secret", filepath.Join(src, "inside")), os.Symlink("../one", filepath.Join(src, "outside")),
		os.Symlink("/etc/hostname", filepath.Join(src, "sub", "absolute")), os.Symlink("src", filepath.Join(dir, "link")), os.Chmod(filepath.Join(src, "sub", "deep"), 0o500))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(src, "sub", "deep"), 0o700) })
	return dir
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// tree lists what is below a directory: modes, contents, links.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %s", strings.TrimPrefix(path, dir+"/"), info.Mode())
		switch {
		case info.Mode().IsRegular():
			raw, err := os.ReadFile(path)
			must(t, err)
			line += " " + string(raw)
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			must(t, err)
			line = strings.Fields(line)[0] + " -> " + to
		}
		out = append(out, line)
		return nil
	}))
	return out
}

// TestCopiesAsDockerDoes: the rules of where a copy goes are the same in both directions.
func TestCopiesAsDockerDoes(t *testing.T) {
	all := []string{"inside -> sub/secret", "outside -> ../one", "run me -rwxr-xr-x #!", "sub drwxr-xr-x", "sub/absolute -> /etc/hostname", "sub/deep dr-x------", "sub/secret -rw------- s"}
	below := func(dir string) []string {
		out := []string{dir + " drwxr-xr-x"}
		for _, f := range all {
			out = append(out, dir+"/"+f)
		}
		return out
	}
	for _, c := range []struct {
		src, dst string
		want     []string
		wrong    string
	}{
		{"one", "there", []string{"there/one -rw-r----- 1"}, ""},
		{"one", "new", []string{"new -rw-r----- 1"}, ""},
		{"one", "file", []string{"file -rw-r----- 1"}, ""},
		{"one", "new/", nil, "no such directory: "},
		{"one", "file/", nil, "is no directory"},
		{"one", "no/new", nil, "no such directory: "},
		{"one/.", "new", nil, "is no directory"},
		{"none", "new", nil, "no such file or directory"},
		{"src", "new", below("new"), ""},
		{"src/", "new/", below("new"), ""},
		{"src", "there", below("there/src"), ""},
		{"src/.", "there", below("there")[1:], ""},
		{"src/.", "new", below("new"), ""},
		{"src", "file", nil, "is a directory, and "},
		{"src", "no/new", nil, "no such directory: "},
		{"link", "new", []string{"new -> src"}, ""},
		{"link/.", "there", below("there")[1:], ""},
	} {
		for _, direction := range []string{"from", "to"} {
			t.Run(direction+" "+c.src+" "+c.dst, func(t *testing.T) {
				from, to := makeSource(t), t.TempDir()
				must(t, os.Mkdir(filepath.Join(to, "there"), 0o711), os.WriteFile(filepath.Join(to, "file"), []byte("old and longer"), 0o600))
				t.Cleanup(func() { _ = exec.Command("chmod", "-R", "u+rwx", to).Run() }) //nolint:noctx // after the test's own context
				was := tree(t, to)
				var warned []string
				o := Options{Warn: func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) }}
				do, want := ToMachine, c.want
				if direction == "from" {
					do = FromMachine
					want = slices.DeleteFunc(slices.Clone(want), func(f string) bool { return strings.Contains(f, "absolute") || strings.Contains(f, "outside") })
				}
				err := do(t.Context(), here{}, from+"/"+c.src, to+"/"+c.dst, o)
				got := tree(t, to)
				if c.wrong != "" {
					var usage *cluster.UsageError
					if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.wrong) || !slices.Equal(got, was) {
						t.Fatalf("error %v, want %q; there is %q", err, c.wrong, got)
					}
					return
				}
				got = slices.DeleteFunc(got, func(f string) bool { return slices.Contains(was, f) && !slices.Contains(want, f) })
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%v\n got %q\nwant %q", err, got, want)
				}
				if left := len(c.want) - len(want); len(warned) != left {
					t.Errorf("%d were left out, and it says %q", left, warned)
				}
			})
		}
	}
}

func TestLinksAreFollowedIfAsked(t *testing.T) {
	from := makeSource(t)
	must(t, os.Remove(filepath.Join(from, "src/sub/absolute")))
	for name, do := range map[string]func(context.Context, cluster.Machine, string, string, Options) error{"from": FromMachine, "to": ToMachine} {
		to := t.TempDir()
		t.Cleanup(func() { _ = os.Chmod(to+"/new/sub/deep", 0o700) })
		must(t, do(t.Context(), here{}, from+"/link", to+"/new", Options{Follow: true}))
		want := []string{"new drwxr-xr-x", "new/inside -rw------- s", "new/outside -rw-r----- 1", "new/run me -rwxr-xr-x #!", "new/sub drwxr-xr-x", "new/sub/deep dr-x------", "new/sub/secret -rw------- s"}
		if got := tree(t, to); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
}

// TestALinkThatLeadsAwayIsNotCopiedAlone: there would be nothing, and nobody told.
func TestALinkThatLeadsAwayIsNotCopiedAlone(t *testing.T) {
	from, to := makeSource(t), t.TempDir()
	err := FromMachine(t.Context(), here{}, from+"/src/sub/absolute", to+"/new", Options{})
	if got := tree(t, to); err == nil || !strings.Contains(err.Error(), "--follow-link") || len(got) > 0 {
		t.Errorf("error %v, and there is %q", err, got)
	}
}

// TestAMachineWritesNowhereElse: its tar may be anybody's.
func TestAMachineWritesNowhereElse(t *testing.T) {
	above := t.TempDir()
	outside := filepath.Join(above, "outside")
	for name, headers := range map[string][]tar.Header{
		"a name that leads up":         {{Name: "../outside", Typeflag: tar.TypeReg}},
		"an absolute name":             {{Name: outside, Typeflag: tar.TypeReg}},
		"through a link":               {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "l/outside", Typeflag: tar.TypeReg}},
		"through a link that is there": {{Name: "mine/outside", Typeflag: tar.TypeReg}},
		"a hard link":                  {{Name: "l", Typeflag: tar.TypeLink, Linkname: "../kept"}, {Name: "l", Typeflag: tar.TypeReg}},
		"a directory above":            {{Name: "..", Typeflag: tar.TypeDir, Mode: 0o777}},
	} {
		dir := filepath.Join(above, "dir")
		must(t, os.RemoveAll(dir), os.Mkdir(dir, 0o755), os.Symlink("..", filepath.Join(dir, "mine")), os.WriteFile(filepath.Join(above, "kept"), []byte("kept"), 0o600))
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		for _, h := range headers {
			must(t, w.WriteHeader(&h))
		}
		must(t, w.Close())
		err := unpack(&archive, dir, true, Options{Warn: func(string, ...any) {}})
		got := slices.DeleteFunc(tree(t, above), func(f string) bool { return strings.HasPrefix(f, "dir/") })
		if want := []string{"dir drwxr-xr-x", "kept -rw------- kept"}; !slices.Equal(got, want) {
			t.Errorf("%s: there is %q, want %q (%v)", name, got, want, err)
		}
		if st, err := os.Stat(above); err != nil || st.Mode().Perm() == 0o777 {
			t.Errorf("%s: above it is %v, %v", name, st.Mode(), err)
		}
	}
}

// TestAnEarlyEndIsAnError: whoever got half of a file is told.
func TestAnEarlyEndIsAnError(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	must(t, w.WriteHeader(&tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 2000}))
	_, err := w.Write(make([]byte, 2000))
	must(t, err)
	if err := unpack(bytes.NewReader(archive.Bytes()[:1500]), t.TempDir(), true, Options{}); err == nil {
		t.Error("nothing was said of it")
	}
}
