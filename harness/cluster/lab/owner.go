package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/labinit"
	"drydock.dev/drydock/harness/cluster/owner"
	"drydock.dev/drydock/harness/lock"
)

// A name is owned by the process that makes or removes its lab, and as long as a lab is not to outlive its maker, by that one. A lab
// that was kept belongs to nobody but itself: whoever comes may look at it, change it and remove it.

const (
	labsDir   = "labs"   // below the state directory
	failedDir = "failed" // logs of labs that did not come up
)

func registry(stateDir string) owner.Registry {
	return owner.Registry{Word: "lab", StateDir: stateDir, Clusters: labsDir, Locks: "locks"}
}

// Dir is where the lab of that name lives. What is no name is refused: it could be any directory.
func Dir(stateDir, name string) (string, error) { return registry(stateDir).Dir(name) }

// List names the running labs.
func List(stateDir string) []string {
	return slices.DeleteFunc(registry(stateDir).Names(), func(name string) bool { return !Running(filepath.Join(stateDir, labsDir, name)) })
}

// Running reports whether the lab in the directory answers: its socket is served by its PID 1 and by nobody else. One that cannot be
// asked, because this process has no file left or the lab's queue is full, counts as running.
func Running(dir string) bool {
	conn, err := control.Connect(filepath.Join(dir, labinit.SocketFile))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED)
	}
	_ = conn.Close()
	return true
}

// Discard removes the directory of a lab that has ended. It refuses one that runs or belongs to somebody.
func Discard(stateDir, name string) (err error) {
	mine, err := registry(stateDir).Take(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mine.Release()) }()
	dir, err := Dir(stateDir, name)
	if err != nil {
		return err
	}
	return discard(dir, name)
}

// discard does it for the name's owner.
func discard(dir, name string) error {
	if Running(dir) {
		return cluster.Usagef("a lab named %q is running already; remove it with `drydock down %s` or choose another --name", name, name)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("lab %s: remove what it left: %w", name, err)
	}
	return nil
}

// Sweep looks for what crashed labs could have left, processes, mounts, interfaces, and removes their directories.
func (p *Provider) Sweep(ctx context.Context, tell func(name, found string)) error {
	var errs []error
	for _, name := range registry(p.StateDir).Names() {
		found, err := p.sweep(ctx, name)
		if err == nil {
			tell(name, found)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p *Provider) sweep(ctx context.Context, name string) (string, error) {
	dir, err := Dir(p.StateDir, name)
	if err != nil {
		return "", err
	}
	if Running(dir) {
		return fmt.Sprintf("runs; remove it with `drydock down %s`", name), nil
	}
	// Its owner may have ended this moment, and the kernel takes another to end all that it began.
	err = cluster.Await(ctx, "the end of all that lab "+name+" began", cluster.Wait{For: 10 * time.Second, Every: 50 * time.Millisecond}, func(context.Context) error {
		left, err := Residue(dir)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("there remain: %s", strings.Join(left, "; "))
		}
		return err
	})
	if err != nil {
		return "", err
	}
	err = Discard(p.StateDir, name)
	var held *lock.HeldError
	if errors.As(err, &held) { // it comes up, or goes down
		return "it belongs to " + held.Holder + ": left alone", nil
	}
	return "no process, mount, interface or port of the lab remains; its directory is removed", err
}
