package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/labinit"
)

// owned is a lab this process started: the child, and the pipe whose end the lab takes for its owner's.
type owned struct {
	cmd  *exec.Cmd
	pipe *os.File
	done chan struct{}
}

// spawn starts PID 1 of a lab in namespaces of its own and returns when it serves its socket.
func spawn(dir, program string, listener *os.File) (_ *owned, err error) {
	ownerRead, ownerWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer func() { _ = ownerRead.Close() }()
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer func() { _ = readyRead.Close() }()
	log, err := os.Create(filepath.Join(dir, "logs", labinit.LogFile))
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer func() { _ = log.Close() }()
	own := filepath.Join(dir, labinit.ProgramFile)
	if err := keepProgram(program, own); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	cmd := exec.Command(own, "lab-init", dir) //nolint:noctx // it ends with its owner, or on request
	cmd.ExtraFiles = []*os.File{ownerRead, readyWrite}
	if listener != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, listener)
	}
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(explainStart(err), readyWrite.Close(), ownerWrite.Close())
	}
	_ = readyWrite.Close()
	o := &owned{cmd: cmd, pipe: ownerWrite, done: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(o.done) }()
	said, err := io.ReadAll(readyRead)
	if err != nil || string(said) != labinit.Ready {
		_ = cmd.Process.Kill()
		<-o.done
		return nil, explainStart(fmt.Errorf("%s (its log: %s)", said, log.Name()))
	}
	return o, nil
}

// tryWithin bounds a trial of what the kernel lets machines do.
const tryWithin = 20 * time.Second

// tryHost runs the trial in namespaces like a lab's.
func tryHost(ctx context.Context, program string) (cluster.Lacks, error) {
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "lab-try")
	cmd.SysProcAttr = attributes()
	out, err := cmd.Output()
	var lacks cluster.Lacks
	if err == nil {
		err = json.Unmarshal(out, &lacks)
	}
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("try what this host's kernel lets a machine do: %w", explainStart(err))
	}
	return lacks, nil
}

// keep tells the lab that it is to outlive this process. Until then it ends with it, however far its bring-up has come.
func (o *owned) keep() error {
	_, err := o.pipe.WriteString(labinit.Kept)
	err = errors.Join(err, o.pipe.Close())
	o.pipe = nil
	if err != nil {
		return fmt.Errorf("keep it: %w", err)
	}
	return nil
}

// keepProgram gives the lab a drydock binary of its own, which a build meanwhile leaves alone: a link where the file systems allow
// it, else a copy. Everything inside a lab runs this one.
func keepProgram(program, own string) error {
	program, err := filepath.EvalSymlinks(program)
	if err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(own), &st); err == nil && st.Flags&unix.ST_NOEXEC != 0 {
		return cluster.Usagef("the file system of %s lets no program run (it is mounted noexec): choose another with --state-dir", filepath.Dir(own))
	}
	if os.Link(program, own) == nil {
		return nil
	}
	in, err := os.Open(program)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(own, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// attributes ask for all namespaces a lab needs. The user namespace maps the caller alone, to root: root of the lab has no power over
// what belongs to the host's namespaces. What goes by user number it has when root starts it: see Warnings.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setsid: true, // Ctrl-C at the owner's terminal is the owner's to handle
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// Warnings say what a lab on this host would not keep its machines from. A lab that root starts maps its root to the host's: the kernel
// lets that user number, with whatever rights, write those of its settings that are not a namespace's own (test_perm of proc_sysctl.c).
func Warnings() []string {
	raw, err := os.ReadFile("/proc/self/uid_map") // in a user namespace, root is not the host's
	if f := strings.Fields(string(raw)); os.Geteuid() != 0 || err != nil || len(f) < 2 || f[1] != "0" {
		return nil
	}
	return []string{"this is root, and so root of a machine has the host's user number 0: a hostile program there can change settings of the kernel " +
		"(/proc/sys). Run what you do not trust as an ordinary user: a lab needs no rights"}
}

// end lets the owner's pipe go and waits until the kernel has ended the lab.
func (o *owned) end(ctx context.Context) error {
	if o.pipe != nil {
		_ = o.pipe.Close()
		o.pipe = nil
	}
	select {
	case <-o.done:
		return nil
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
	}
	_ = o.cmd.Process.Kill() // kills PID 1 and so everything in the lab
	select {
	case <-o.done:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("lab process %d remains 10s after SIGKILL", o.cmd.Process.Pid)
	}
}
