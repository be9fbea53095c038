// Package control is the wire between the host and the processes inside a lab: one JSON request and one JSON answer per
// unix-socket connection, with file descriptors passed along. A socket in a shared directory reaches into every
// network namespace, and a passed descriptor lets the host hold a TCP connection that was made inside one.
package control

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxMessage = 64 << 20
	maxFiles   = 8
)

// Request is one call: an operation, its parameters, and the files that came with it.
type Request struct {
	Op    string          `json:"op"`
	Body  json.RawMessage `json:"body,omitempty"`
	Files []*os.File      `json:"-"`
}

// Decode reads the parameters.
func (r *Request) Decode(into any) error {
	if err := json.Unmarshal(r.Body, into); err != nil {
		return fmt.Errorf("control: %s: parameters: %w", r.Op, err)
	}
	return nil
}

type answer struct {
	Error    string          `json:"error,omitempty"`
	NotExist bool            `json:"notExist,omitempty"` // the error was fs.ErrNotExist
	Errno    syscall.Errno   `json:"errno,omitempty"`    // what the kernel said, if it did
	Body     json.RawMessage `json:"body,omitempty"`
}

// Handler answers a request; the context ends when the caller hangs up. Returned files are passed on and closed here.
type Handler func(ctx context.Context, req *Request) (body any, files []*os.File, err error)

// Simple makes a handler of a function from parameters to an answer.
func Simple[P any](do func(ctx context.Context, p P) (any, error)) Handler {
	return func(ctx context.Context, req *Request) (any, []*os.File, error) {
		var p P
		if err := req.Decode(&p); err != nil {
			return nil, nil, err
		}
		body, err := do(ctx, p)
		return body, nil, err
	}
}

// Serve answers connections until the listener closes. An unknown operation is an error that names it.
func Serve(l *net.UnixListener, handlers map[string]Handler) error {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return fmt.Errorf("control: accept: %w", err)
		}
		go serveOne(conn, handlers)
	}
}

func serveOne(conn *net.UnixConn, handlers map[string]Handler) {
	defer func() { _ = conn.Close() }()
	var req Request
	files, err := receive(conn, &req)
	if err != nil {
		return
	}
	req.Files = files
	defer closeAll(files)
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // a server's connection has no parent context
	defer cancel()
	go func() { // the caller sends nothing more: a read returns when it hangs up
		_, _ = conn.Read(make([]byte, 1))
		cancel()
	}()
	a, out := run(ctx, &req, handlers)
	defer closeAll(out)
	_ = send(conn, a, out)
}

// run has the operation's handler answer.
func run(ctx context.Context, req *Request, handlers map[string]Handler) (a answer, out []*os.File) {
	h, ok := handlers[req.Op]
	if !ok {
		return answer{Error: fmt.Sprintf("unknown operation %q", req.Op)}, nil
	}
	body, out, err := h(ctx, req)
	if err != nil {
		a.Error, a.NotExist = err.Error(), errors.Is(err, fs.ErrNotExist)
		_ = errors.As(err, &a.Errno)
	} else if body != nil {
		if a.Body, err = json.Marshal(body); err != nil {
			a.Error = err.Error()
		}
	}
	return a, out
}

// RemoteError is an error the other side answered with.
type RemoteError struct {
	Op, Message string
	notExist    bool
	errno       syscall.Errno
}

func (e *RemoteError) Error() string { return e.Message }

// Is makes errors.Is(err, fs.ErrNotExist) work across the wire.
func (e *RemoteError) Is(target error) bool { return target == fs.ErrNotExist && e.notExist }

// Unwrap gives what the kernel said there, so that errors.Is(err, syscall.ECONNREFUSED) works across the wire as well.
func (e *RemoteError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// Call sends one request to the socket and waits for the answer. The context's end hangs up, which ends the operation.
func Call(ctx context.Context, socket, op string, body, into any, files ...*os.File) ([]*os.File, error) {
	conn, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("control: %s: %w", op, err)
	}
	if err := send(conn, Request{Op: op, Body: raw}, files); err != nil {
		return nil, callError(ctx, op, err)
	}
	var a answer
	got, err := receive(conn, &a)
	if err != nil {
		return nil, callError(ctx, op, err)
	}
	if a.Error != "" {
		closeAll(got)
		return nil, &RemoteError{Op: op, Message: a.Error, notExist: a.NotExist, errno: a.Errno}
	}
	if into != nil && len(a.Body) > 0 {
		if err := json.Unmarshal(a.Body, into); err != nil {
			closeAll(got)
			return nil, fmt.Errorf("control: %s: answer: %w", op, err)
		}
	}
	return got, nil
}

func callError(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("control: %s: %w", op, context.Cause(ctx))
	}
	return fmt.Errorf("control: %s: %w", op, err)
}

// dial connects through the socket's directory, because a socket's path may not exceed 107 bytes and a state directory's may.
func dial(ctx context.Context, socket string) (*net.UnixConn, error) {
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	defer func() { _ = dir.Close() }()
	short := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(socket))
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", short)
	if err != nil {
		return nil, fmt.Errorf("control: connect to %s: %w", socket, err)
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("control: %T is not a unix connection", conn)
	}
	return unixConn, nil
}

func send(conn *net.UnixConn, v any, files []*os.File) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(raw)))
	if _, _, err := conn.WriteMsgUnix(head, rights, nil); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if _, err := conn.Write(raw); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

func receive(conn *net.UnixConn, into any) ([]*os.File, error) {
	head, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, _, _, err := conn.ReadMsgUnix(head, oob)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	files, err := parseRights(oob[:oobn])
	if err != nil {
		return nil, err
	}
	if err := readBody(conn, head, n, into); err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

func readBody(conn io.Reader, head []byte, got int, into any) error {
	if got == 0 {
		return fmt.Errorf("receive: %w", io.ErrUnexpectedEOF)
	}
	if _, err := io.ReadFull(conn, head[got:]); err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	size := binary.BigEndian.Uint32(head)
	if size > maxMessage {
		return fmt.Errorf("receive: message of %d bytes exceeds %d", size, maxMessage)
	}
	raw := make([]byte, size)
	if _, err := io.ReadFull(conn, raw); err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	return nil
}

func parseRights(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("receive: control message: %w", err)
	}
	var files []*os.File
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// ConnFile turns a connection into a file that can be passed on.
func ConnFile(conn net.Conn) (*os.File, error) {
	defer func() { _ = conn.Close() }()
	f, ok := conn.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("control: %T cannot be passed to another process", conn)
	}
	return f.File()
}

// FileConn turns a passed file back into a connection.
func FileConn(files []*os.File) (net.Conn, error) {
	defer closeAll(files)
	if len(files) != 1 {
		return nil, fmt.Errorf("control: %d descriptors instead of a connection", len(files))
	}
	conn, err := net.FileConn(files[0])
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	return conn, nil
}

// DialParams are a connection to make on the other side.
type DialParams struct {
	Network string `json:"network"`
	Addr    string `json:"addr"`
}

// Dial is the handler that makes a connection of TCP or UDP where it runs and passes it on. Of other networks a unix socket would be one of
// the file system the handler sees, which is more than the caller may see.
func Dial(ctx context.Context, req *Request) (any, []*os.File, error) {
	var p DialParams
	if err := req.Decode(&p); err != nil {
		return nil, nil, err
	}
	if !slices.Contains([]string{"tcp", "tcp4", "tcp6", "udp"}, p.Network) {
		return nil, nil, fmt.Errorf("dial: network %q; only tcp, tcp4, tcp6 and udp are dialed for others", p.Network)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, p.Network, p.Addr)
	if err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	f, err := ConnFile(conn)
	if err != nil {
		return nil, nil, err
	}
	return nil, []*os.File{f}, nil
}

// DialThrough connects through the process behind the socket.
func DialThrough(ctx context.Context, socket, network, addr string) (net.Conn, error) {
	files, err := Call(ctx, socket, "dial", DialParams{Network: network, Addr: addr}, nil)
	if err != nil {
		return nil, err
	}
	return FileConn(files)
}

// Listen makes a handler that listens for TCP where it runs and passes the listener on: who is asked for it accepts what comes there.
func Listen(addr string) Handler {
	return func(ctx context.Context, _ *Request) (any, []*os.File, error) {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			return nil, nil, fmt.Errorf("listen: %w", err)
		}
		defer func() { _ = l.Close() }()
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			return nil, nil, fmt.Errorf("listen: %T cannot be passed on", l)
		}
		f, err := tcp.File()
		if err != nil {
			return nil, nil, fmt.Errorf("listen: %w", err)
		}
		return nil, []*os.File{f}, nil
	}
}

// ListenThrough listens where the process behind the socket is.
func ListenThrough(ctx context.Context, socket string) (net.Listener, error) {
	files, err := Call(ctx, socket, "listen", struct{}{}, nil)
	if err != nil {
		return nil, err
	}
	defer closeAll(files)
	if len(files) != 1 {
		return nil, fmt.Errorf("control: %d files came instead of a listener", len(files))
	}
	l, err := net.FileListener(files[0])
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	return l, nil
}

// Connect only connects: it tells whether somebody serves the socket.
func Connect(socket string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) //nolint:forbidigo // a local connect that takes no time
	defer cancel()
	return dial(ctx, socket)
}
