// Command intruder is a hostile program of a lab machine: it runs there as root and tries what a machine must not be able to do.
// It prints what it achieved, one line each; nothing printed means that it was refused everywhere.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster/lab/control"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) //nolint:forbidigo // main
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "intruder:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 3 && args[0] == "ask":
		return ask(ctx, args[1], args[2])
	case len(args) == 2 && args[0] == "change":
		return change(args[1])
	}
	return errors.New("usage: intruder ask OPERATION PARAMETERS | intruder change FILE")
}

// ask sends one request to every unix socket this machine's programs can see.
func ask(ctx context.Context, op, params string) error {
	found, err := sockets()
	if err != nil {
		return err
	}
	for _, s := range found {
		if err := one(ctx, s, op, params); err != nil {
			_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", s, err)
			continue
		}
		_, _ = fmt.Fprintf(os.Stdout, "%s did it\n", s)
	}
	return nil
}

func one(ctx context.Context, socket, op, params string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	streams := []*os.File(nil)
	if op == "exec" {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer func() { _ = null.Close() }()
		streams = []*os.File{null, null, null}
	}
	_, err := control.Call(ctx, socket, op, json.RawMessage(params), nil, streams...)
	return err
}

// sockets finds every unix socket below the root.
func sockets() (found []string, err error) {
	err = filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what cannot be read cannot be used
		}
		if d.IsDir() && slices.Contains([]string{"/proc", "/sys", "/usr", "/opt"}, path) {
			return fs.SkipDir
		}
		if st, err := os.Lstat(path); err == nil && st.Mode()&fs.ModeSocket != 0 { // not d.Type: a socket may be mounted over a file
			found = append(found, path)
		}
		return nil
	})
	return found, err
}

// change tries every way to another content, mode or name of a file that it is only meant to read.
func change(path string) error {
	if err := os.MkdirAll("/mnt/again", 0o755); err != nil {
		return err
	}
	ways := []struct {
		name string
		do   func() error
	}{
		{"as it is", func() error { return touch(path) }},
		{"after a remount of its mount", func() error { return errors.Join(writable(mountOf(path)), touch(path)) }},
		{"through a second mount of its directory", func() error {
			if err := unix.Mount(filepath.Dir(path), "/mnt/again", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
				return err
			}
			return errors.Join(writable("/mnt/again"), touch(filepath.Join("/mnt/again", filepath.Base(path))))
		}},
		{"through the program of PID 1", func() error {
			same, err := sameFile(path, "/proc/1/exe")
			if err != nil || !same {
				return errors.Join(err, errors.New("it is another file"))
			}
			return touch("/proc/1/exe")
		}},
		{"below its mount", func() error { return errors.Join(unix.Unmount(mountOf(path), unix.MNT_DETACH), touch(path)) }},
	}
	for _, w := range ways {
		if err := w.do(); err != nil {
			_, _ = fmt.Fprintf(os.Stderr, "%s: %s: %v\n", path, w.name, err)
			continue
		}
		_, _ = fmt.Fprintf(os.Stdout, "%s changed %s\n", path, w.name)
	}
	return nil
}

// touch appends to the file, or, where a running program may not be written to, changes its mode.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		if chmod := os.Chmod(path, 0o711); chmod != nil {
			return errors.Join(err, chmod)
		}
		return nil
	}
	_, err = f.WriteString("intruder\n")
	return errors.Join(err, f.Close())
}

// writable takes read-only from a mount, by the new call and by the old one.
func writable(mount string) error {
	err := unix.MountSetattr(unix.AT_FDCWD, mount, unix.AT_RECURSIVE, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	if err != nil && unix.Mount("", mount, "", unix.MS_REMOUNT|unix.MS_BIND, "") == nil {
		return nil
	}
	return err
}

// mountOf is the mount point a file is below.
func mountOf(path string) string {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return path
	}
	best := "/"
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 4 && len(f[4]) > len(best) && (path == f[4] || strings.HasPrefix(path, f[4]+"/")) {
			best = f[4]
		}
	}
	return best
}

func sameFile(a, b string) (bool, error) {
	x, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y), err
}
