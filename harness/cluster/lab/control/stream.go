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
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// Across a kernel of its own no descriptor can be passed. There a file that comes with a request is a connection of its own, whose first message
// names it, and the file of an answer is the connection that brought it. Relay does this behind a socket, so that callers know nothing of it.

// opening is the first message of a connection: a request with the names of its files, or, without an operation, the name of such a file.
type opening struct {
	Request
	Names []string `json:"names,omitempty"` // of the request's files, in their order
	Name  string   `json:"name,omitempty"`  // of the file that this connection is
}

// reply is an answer whose connection may go on as the file that was asked for.
type reply struct {
	answer
	Connection bool `json:"connection,omitempty"`
}

// greeting is what a server says first: many a thing between accepts connections to nobody.
const greeting = byte('d')

// How long the two sides wait for each other where no caller's context bounds it.
const (
	greetWithin = 10 * time.Second
	claimWithin = 30 * time.Second
)

// streams are the files that have come and no request has claimed yet.
type streams struct {
	mu   sync.Mutex
	open map[string]net.Conn
}

func (s *streams) put(name string, conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[name] = conn
	time.AfterFunc(claimWithin, func() {
		if c := s.take(name); c != nil {
			_ = c.Close()
		}
	})
}

func (s *streams) take(name string) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.open[name]
	delete(s.open, name)
	return c
}

// claim makes files of the named streams.
func (s *streams) claim(names []string) (files []*os.File, err error) {
	for _, n := range names {
		conn := s.take(n)
		if conn == nil {
			return files, fmt.Errorf("control: no connection came for file %q", n)
		}
		f, err := ConnFile(conn)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

// ServeStreams is Serve for callers that are behind a Relay.
func ServeStreams(l net.Listener, handlers map[string]Handler) error {
	s := &streams{open: map[string]net.Conn{}}
	for {
		conn, err := l.Accept()
		if err != nil {
			return fmt.Errorf("control: accept: %w", err)
		}
		go s.serve(conn, handlers)
	}
}

func (s *streams) serve(conn net.Conn, handlers map[string]Handler) {
	kept := false
	defer func() {
		if !kept {
			_ = conn.Close()
		}
	}()
	if _, err := conn.Write([]byte{greeting}); err != nil {
		return
	}
	var o opening
	if err := readMessage(conn, &o); err != nil {
		return
	}
	if o.Name != "" {
		s.put(o.Name, conn)
		_, err := conn.Write([]byte{greeting}) // it can be claimed from now on
		kept = err == nil
		return
	}
	var err error
	o.Files, err = s.claim(o.Names)
	defer func() { closeAll(o.Files) }()
	if err != nil {
		_ = writeMessage(conn, reply{answer: answer{Error: err.Error()}})
		return
	}
	a, out := s.handle(conn, &o.Request, handlers)
	if err := writeMessage(conn, reply{answer: a, Connection: len(out) == 1}); err != nil || len(out) != 1 {
		closeAll(out)
		return
	}
	kept = true
	join(conn, out[0])
}

// handle runs the operation until it answers or the caller hangs up. A caller whose connection becomes a file says nothing before it has the answer.
func (s *streams) handle(conn net.Conn, req *Request, handlers map[string]Handler) (answer, []*os.File) {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // a server's connection has no parent context
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			cancel()
		}
	}()
	a, out := run(ctx, req, handlers)
	_ = conn.SetReadDeadline(time.Unix(1, 0)) // the watcher must not take what belongs to the file
	<-watched
	_ = conn.SetReadDeadline(time.Time{})
	return a, out
}

// join copies both ways between a connection and a file that is one, until both ways have ended.
func join(conn net.Conn, f *os.File) {
	other, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		_ = conn.Close()
		return
	}
	var ways sync.WaitGroup
	for _, w := range [][2]net.Conn{{conn, other}, {other, conn}} {
		ways.Go(func() {
			_, _ = io.Copy(w[0], w[1])
			hangUp(w[0])
		})
	}
	ways.Wait()
	_, _ = conn.Close(), other.Close()
}

// hangUp says that nothing more is written.
func hangUp(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
	}
}

// Relay answers a socket's callers with what ServeStreams answers at the other end of connect, until the listener closes. The first file of a request
// is taken for one to read from and the others for ones to write to, as a program's streams are. What is underway when its context ends is hung up.
type Relay struct {
	Connect func(ctx context.Context) (net.Conn, error)
}

// Serve relays the listener's calls; underway gives the context a call lives in.
func (r Relay) Serve(l *net.UnixListener, underway func() context.Context) error {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return fmt.Errorf("control: accept: %w", err)
		}
		go r.serve(underway(), conn)
	}
}

func (r Relay) serve(ctx context.Context, caller *net.UnixConn) {
	defer func() { _ = caller.Close() }()
	var req Request
	files, err := receive(caller, &req)
	if err != nil {
		return
	}
	req.Files = files
	defer closeAll(files)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // the caller sends nothing more: a read returns when it hangs up
		_, _ = caller.Read(make([]byte, 1))
		cancel()
	}()
	a, out, err := r.call(ctx, &req)
	defer closeAll(out)
	if err != nil {
		a = answer{Error: err.Error()}
	}
	_ = send(caller, a, out)
}

// Ask does one call without files.
func (r Relay) Ask(ctx context.Context, op string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("control: %s: %w", op, err)
	}
	a, out, err := r.call(ctx, &Request{Op: op, Body: raw})
	closeAll(out)
	if err == nil && a.Error != "" {
		err = &RemoteError{Op: op, Message: a.Error, notExist: a.NotExist, errno: a.Errno}
	}
	return err
}

func (r Relay) call(ctx context.Context, req *Request) (answer, []*os.File, error) {
	o := opening{Request: *req}
	var outputs sync.WaitGroup
	done := make(chan struct{})
	defer close(done)
	for i, f := range req.Files {
		name := uuid.NewString()
		conn, err := r.open(ctx, opening{Name: name})
		if err == nil {
			err = greeted(conn)
		}
		if err != nil {
			return answer{}, nil, callError(ctx, req.Op, err)
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		o.Names = append(o.Names, name)
		if i == 0 {
			go func() {
				defer stop()
				feed(conn, f, done)
			}()
			continue
		}
		outputs.Go(func() {
			defer stop()
			_, _ = io.Copy(f, conn)
			_ = conn.Close()
		})
	}
	conn, err := r.open(ctx, o)
	if err != nil {
		return answer{}, nil, callError(ctx, req.Op, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	var got reply
	err = readMessage(conn, &got)
	stop()
	if err != nil {
		return answer{}, nil, callError(ctx, req.Op, errors.Join(err, conn.Close()))
	}
	await(&outputs, lastWords)
	if !got.Connection {
		return got.answer, nil, conn.Close()
	}
	file, err := ConnFile(conn)
	if err != nil {
		return answer{}, nil, callError(ctx, req.Op, err)
	}
	return got.answer, []*os.File{file}, nil
}

// lastWords is how long the output of a program that has ended may take to come through; a child of it may hold its streams for ever.
const lastWords = time.Second

func await(wg *sync.WaitGroup, within time.Duration) {
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(within):
	}
}

// open connects and says what for.
func (r Relay) open(ctx context.Context, o opening) (net.Conn, error) {
	conn, err := r.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err = greeted(conn); err == nil {
		err = writeMessage(conn, o)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// greeted waits until the other side has said something.
func greeted(conn net.Conn) error {
	_ = conn.SetReadDeadline(time.Now().Add(greetWithin))
	got := make([]byte, 1)
	if _, err := io.ReadFull(conn, got); err != nil || got[0] != greeting {
		return fmt.Errorf("nobody answers on the machine: %w", errors.Join(err, fs.ErrInvalid))
	}
	return conn.SetReadDeadline(time.Time{})
}

// feed copies a file to the connection until the file ends or done closes: a terminal's next words belong to another reader.
func feed(conn net.Conn, f *os.File, done <-chan struct{}) {
	defer func() { _ = conn.Close() }()
	const look = 100 // ms
	buf := make([]byte, 32<<10)
	for {
		select {
		case <-done:
			return
		default:
		}
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, look); err != nil && !errors.Is(err, unix.EINTR) {
			return
		} else if n <= 0 {
			continue
		}
		n, err := f.Read(buf)
		if _, werr := conn.Write(buf[:n]); werr != nil {
			return
		}
		if err != nil {
			hangUp(conn)
			<-done // closing it would reset what has not been read there
			return
		}
	}
}

func writeMessage(w io.Writer, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if _, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(raw))), raw...)); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

func readMessage(r io.Reader, into any) error {
	head := make([]byte, 4)
	n, err := io.ReadFull(r, head)
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	return readBody(r, head, n, into)
}
