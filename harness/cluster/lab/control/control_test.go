package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

func serve(t *testing.T, handlers map[string]Handler) string {
	t.Helper()
	// A directory deeper than a socket's path may be long.
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: "s.sock", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { _ = Serve(l, handlers) }()
	return filepath.Join(dir, "s.sock")
}

func TestCallPassesBodiesErrorsAndFiles(t *testing.T) {
	sock := serve(t, map[string]Handler{
		"double": func(_ context.Context, r *Request) (any, []*os.File, error) {
			var n int
			err := r.Decode(&n)
			return n * 2, nil, err
		},
		"missing": func(context.Context, *Request) (any, []*os.File, error) {
			_, err := os.Open("/does/not/exist")
			return nil, nil, fmt.Errorf("wrapped: %w", err)
		},
		"write": func(_ context.Context, r *Request) (any, []*os.File, error) {
			_, err := io.WriteString(r.Files[0], "through")
			return nil, nil, err
		},
	})
	var n int
	if _, err := Call(t.Context(), sock, "double", 4, &n); err != nil || n != 8 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := Call(t.Context(), sock, "missing", nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want fs.ErrNotExist across the wire", err)
	}
	if _, err := Call(t.Context(), sock, "nothing", nil, nil); err == nil || !strings.Contains(err.Error(), `unknown operation "nothing"`) {
		t.Errorf("error %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Call(t.Context(), sock, "write", nil, nil, w); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if raw, err := io.ReadAll(r); err != nil || string(raw) != "through" {
		t.Errorf("%q, %v", raw, err)
	}
}

func TestHangingUpEndsTheOperation(t *testing.T) {
	ended := make(chan struct{})
	sock := serve(t, map[string]Handler{"wait": func(ctx context.Context, _ *Request) (any, []*os.File, error) {
		<-ctx.Done()
		close(ended)
		return nil, nil, ctx.Err()
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Call(ctx, sock, "wait", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the operation went on after the caller hung up")
	}
}

func TestDialThroughGivesARealConnection(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}()
	conn, err := DialThrough(t.Context(), serve(t, map[string]Handler{"dial": Dial}), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(conn); err != nil || string(raw) != "hello" {
		t.Fatalf("%q, %v", raw, err)
	}
}

func TestListenThroughGivesAListenerThatServes(t *testing.T) {
	sock := serve(t, map[string]Handler{"listen": Listen("127.0.0.1:0"), "nowhere": Listen("192.0.2.1:0")})
	l, err := ListenThrough(t.Context(), sock)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, _ = io.WriteString(conn, "served here")
			_ = conn.Close()
		}
	}()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "served here" {
		t.Errorf("%q, %v", got, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	err = cluster.Await(t.Context(), "nobody to listen there", cluster.Wait{For: 10 * time.Second}, func(ctx context.Context) error { // who passed it on lets go of it a moment later
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			return nil //nolint:nilerr // as it should be
		}
		return errors.Join(errors.New("somebody listens"), conn.Close())
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := Call(t.Context(), sock, "nowhere", nil, nil); err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("an address of nobody: %v", err)
	}
}

func TestDialThroughIsForTCPAndUDPOnly(t *testing.T) {
	path := serve(t, map[string]Handler{"dial": Dial})
	for _, network := range []string{"unix", "unixgram", "ip4:icmp"} {
		if _, err := DialThrough(t.Context(), path, network, path); err == nil || !strings.Contains(err.Error(), "only tcp") {
			t.Errorf("%s: error %v", network, err)
		}
	}
}

// TestARefusalIsOneAcrossTheWire: nobody has to read an error's text to know that nothing listens.
func TestARefusalIsOneAcrossTheWire(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, err = DialThrough(t.Context(), serve(t, map[string]Handler{"dial": Dial}), "tcp", addr)
	if !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%v", err)
	}
}
