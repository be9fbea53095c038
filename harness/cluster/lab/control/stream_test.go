package control

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// relayed serves handlers behind a relay and a connection that passes no files.
func relayed(underway context.Context, t *testing.T, handlers map[string]Handler) string {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ended with the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inner.Close() })
	go func() { _ = ServeStreams(inner, handlers) }()
	sock := filepath.Join(t.TempDir(), "s.sock")
	outer, err := net.ListenUnix("unix", &net.UnixAddr{Name: sock, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = outer.Close() })
	r := Relay{Connect: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", inner.Addr().String())
	}}
	go func() { _ = r.Serve(outer, func() context.Context { return underway }) }()
	return sock
}

func program(_ context.Context, r *Request) (any, []*os.File, error) {
	cmd := exec.Command("sh", "-c", "cat; echo wrong >&2") //nolint:noctx // it ends with its input
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.Files[0], r.Files[1], r.Files[2]
	return "ended", nil, cmd.Run()
}

func TestRelayedProgramHasItsStreams(t *testing.T) {
	sock := relayed(t.Context(), t, map[string]Handler{
		"exec":    program,
		"missing": Simple(func(context.Context, struct{}) (any, error) { return os.ReadFile("/does/not/exist") }),
	})
	var ends [3]*os.File
	var files []*os.File
	for i := range ends {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = r
		files = append(files, w)
		if i == 0 {
			ends[i], files[i] = w, r
		}
	}
	text := strings.Repeat("through and back\n", 10_000)
	go func() {
		_, _ = io.WriteString(ends[0], text)
		_ = ends[0].Close()
	}()
	outputs := make(chan string, 1)
	go func() {
		raw, _ := io.ReadAll(ends[1])
		outputs <- string(raw)
	}()
	var said string
	if _, err := Call(t.Context(), sock, "exec", struct{}{}, &said, files...); err != nil || said != "ended" {
		t.Fatalf("%q, %v", said, err)
	}
	closeAll(files)
	if got := <-outputs; got != text {
		t.Errorf("%d bytes came back of %d", len(got), len(text))
	}
	if raw, err := io.ReadAll(ends[2]); err != nil || string(raw) != "wrong\n" {
		t.Errorf("standard error: %q, %v", raw, err)
	}
	if _, err := Call(t.Context(), sock, "missing", struct{}{}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want fs.ErrNotExist across the relay", err)
	}
}

func TestRelayedDialIsAConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ended with the test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "first")
		raw, _ := io.ReadAll(c)
		_, _ = c.Write(raw)
		_ = c.Close()
	}()
	sock := relayed(t.Context(), t, map[string]Handler{"dial": Dial})
	conn, err := DialThrough(t.Context(), sock, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "back")
	hangUp(conn)
	if raw, err := io.ReadAll(conn); err != nil || string(raw) != "firstback" {
		t.Errorf("%q, %v", raw, err)
	}
}

func TestRelayedCallEndsWithItsCaller(t *testing.T) {
	ended := make(chan struct{})
	sock := relayed(t.Context(), t, map[string]Handler{"wait": func(ctx context.Context, _ *Request) (any, []*os.File, error) {
		<-ctx.Done()
		close(ended)
		return nil, nil, ctx.Err()
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Call(ctx, sock, "wait", struct{}{}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the operation goes on although its caller has hung up")
	}
}

func TestRelayedCallsEndWithTheMachine(t *testing.T) {
	machine, panics := context.WithCancel(t.Context())
	begun := make(chan struct{})
	sock := relayed(machine, t, map[string]Handler{"wait": func(ctx context.Context, _ *Request) (any, []*os.File, error) {
		close(begun)
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}})
	go func() {
		<-begun
		panics()
	}()
	if _, err := Call(t.Context(), sock, "wait", struct{}{}, nil); err == nil || !strings.Contains(err.Error(), "wait") {
		t.Errorf("error %v, want one that says what was asked", err)
	}
}
