package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/machineinit"
)

// Exec runs a command to its end.
func (m *Machine) Exec(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	var stdout, stderr bytes.Buffer
	res, err := m.run(ctx, cmd, &stdout, &stderr)
	out := cluster.Result{Stdout: stdout.String(), Stderr: stderr.String()}
	if err != nil || res.Code != 0 {
		e := &cluster.ExecError{Machine: m.name, Args: cmd.Args, Code: res.Code, Result: out, Cause: err}
		if err == nil && res.Code < 0 {
			e.Cause = errors.New(res.Reason)
		}
		return out, e
	}
	return out, nil
}

// lastWords is how long a command that was killed with its context may still be heard.
const lastWords = time.Second

// run passes pipes as the command's streams and copies what comes through them, until all have let go of them or the context ends: a child of the
// command that went on by itself may hold them for ever.
func (m *Machine) run(ctx context.Context, cmd cluster.Command, stdout, stderr io.Writer) (machineinit.ExecResult, error) {
	res := machineinit.ExecResult{Code: -1}
	stdin := cmd.Stdin
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return res, fmt.Errorf("%s: %w", m.name, err)
	}
	go func() {
		_, _ = io.Copy(inWrite, stdin)
		_ = inWrite.Close()
	}()
	var copies sync.WaitGroup
	var reads []*os.File
	files := []*os.File{inRead}
	for _, w := range []io.Writer{stdout, stderr} {
		r, end, err := os.Pipe()
		if err != nil {
			return res, fmt.Errorf("%s: %w", m.name, err)
		}
		files, reads = append(files, end), append(reads, r)
		copies.Go(func() {
			_, _ = io.Copy(w, r)
			_ = r.Close()
		})
	}
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(lastWords, func() {
			for _, r := range reads {
				_ = r.Close() // ends the copy; the second time nothing
			}
		})
	})
	defer stop()
	_, err = control.Call(ctx, m.socket(), "exec", machineinit.ExecParams{Args: cmd.Args, Env: cmd.Env}, &res, files...)
	for _, f := range files {
		_ = f.Close()
	}
	copies.Wait()
	if err != nil {
		return res, fmt.Errorf("%s: %w", m.name, err)
	}
	return res, nil
}

// Shell runs a command on the caller's own streams, a terminal among them; it returns the exit code. Into a kernel of its own no terminal reaches: a
// command there has its streams and no more.
func (m *Machine) Shell(ctx context.Context, args []string, tty bool, streams ...*os.File) (int, error) {
	var res machineinit.ExecResult
	env := []string{"PS1=" + m.name + ":\\w\\$ "}
	_, err := control.Call(ctx, m.socket(), "exec", machineinit.ExecParams{Args: args, Env: env, TTY: tty && !m.vm}, &res, streams...)
	if err != nil {
		return -1, fmt.Errorf("%s: %w", m.name, err)
	}
	if res.Code < 0 {
		return -1, fmt.Errorf("%s: %s", m.name, res.Reason)
	}
	return res.Code, nil
}
