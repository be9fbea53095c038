package staging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"drydock.dev/drydock/harness/cluster"
)

const (
	connectWithin = 10 * time.Second // to log in
	aliveEvery    = 3 * time.Second  // a connection is asked whether it is there
	aliveWithin   = 6 * time.Second  // and is not, when it has not answered by then
	// sessionsEach is how many commands run on a machine at a time: sshd refuses more than 10 on one connection (sshd_config(5), MaxSessions).
	sessionsEach = 8
	// refusedEvery is how soon an sshd that has refused a session is asked again, and refusedFor how long.
	refusedEvery = 50 * time.Millisecond
	refusedFor   = 5 * time.Second
)

// logins is what every connection needs: who asks, and how the asked prove who they are.
type logins struct {
	user    string
	auth    []ssh.AuthMethod
	trusted ssh.HostKeyCallback
	port    int
	jump    *remote // nil: straight
}

func (inv *Inventory) logins() (*logins, error) {
	l := &logins{user: inv.SSH.User, port: inv.SSH.Port}
	var err error
	if l.trusted, err = knownhosts.New(inv.path(inv.SSH.KnownHosts)); err != nil {
		return nil, cluster.Usagef("ssh.knownHosts: %w: machines whose keys are not known are not talked to (ssh-keyscan, and compare)", err)
	}
	if l.auth, err = inv.auth(); err != nil {
		return nil, err
	}
	if inv.SSH.Jump == "" {
		return l, nil
	}
	over := *l
	at := inv.SSH.Jump
	if user, rest, ok := strings.Cut(at, "@"); ok {
		over.user, at = user, rest
	}
	l.jump = newRemote("jump host "+at, withPort(at, 22), &over)
	return l, nil
}

func (inv *Inventory) auth() ([]ssh.AuthMethod, error) {
	if inv.SSH.KeyFile != "" {
		raw, err := os.ReadFile(inv.path(inv.SSH.KeyFile))
		if err != nil {
			return nil, cluster.Usagef("ssh.keyFile: %w", err)
		}
		key, err := ssh.ParsePrivateKey(raw)
		if err != nil {
			return nil, cluster.Usagef("ssh.keyFile: %w (a key with a passphrase belongs into an agent)", err)
		}
		return []ssh.AuthMethod{ssh.PublicKeys(key)}, nil
	}
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, cluster.Usagef("ssh.keyFile is not said, and there is no agent (SSH_AUTH_SOCK is empty)")
	}
	return []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
		conn, err := net.Dial("unix", socket) //nolint:noctx // the library's callback has no context
		if err != nil {
			return nil, fmt.Errorf("ssh agent: %w", err)
		}
		return agent.NewClient(conn).Signers() // it signs over the connection, later
	})}, nil
}

func withPort(host string, port int) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port))
}

// remote is the connection to one sshd; it is made when it is needed, and again when it was lost.
type remote struct {
	name   string
	addr   string
	logins *logins

	making chan struct{} // held by whoever logs in: a wait for it ends with the waiter's context
	slots  chan struct{} // one for each session

	mu     sync.Mutex
	client *ssh.Client
}

func newRemote(name, addr string, l *logins) *remote {
	return &remote{name: name, addr: addr, logins: l, making: make(chan struct{}, 1), slots: make(chan struct{}, sessionsEach)}
}

func (r *remote) current() *ssh.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.client
}

// connect returns the connection, or makes one.
func (r *remote) connect(ctx context.Context) (*ssh.Client, error) {
	if c := r.current(); c != nil {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	select {
	case r.making <- struct{}{}:
		defer func() { <-r.making }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: ssh to %s: %w", r.name, r.addr, context.Cause(ctx))
	}
	if c := r.current(); c != nil {
		return c, nil
	}
	conn, err := r.reach(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: ssh to %s: %w", r.name, r.addr, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	c, chans, reqs, err := ssh.NewClientConn(conn, r.addr, &ssh.ClientConfig{
		User: r.logins.user, Auth: r.logins.auth, HostKeyCallback: r.logins.trusted, HostKeyAlgorithms: knownAlgorithms(r.logins.trusted, r.addr, conn.RemoteAddr()),
	})
	if !stop() && err == nil {
		_ = c.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: ssh as %s to %s: %w", r.name, r.logins.user, r.addr, distrust(err))
	}
	client := ssh.NewClient(c, chans, reqs)
	r.mu.Lock()
	r.client = client
	r.mu.Unlock()
	go r.watch(client)
	return client, nil
}

func (r *remote) reach(ctx context.Context) (net.Conn, error) {
	if r.logins.jump == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", r.addr)
	}
	over, err := r.logins.jump.connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := over.DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return nil, fmt.Errorf("through %s: %w", r.logins.jump.name, err)
	}
	return conn, nil
}

// knownAlgorithms are those of the keys that are known of a host: a server that has keys of several kinds must show one of them. The library's own
// order would have it show another and then call that a mismatch.
func knownAlgorithms(trusted ssh.HostKeyCallback, addr string, at net.Addr) []string {
	var unknown *knownhosts.KeyError
	if !errors.As(trusted(addr, at, noKey{}), &unknown) {
		return nil
	}
	var out []string
	for _, k := range unknown.Want {
		if t := k.Key.Type(); t == ssh.KeyAlgoRSA {
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			out = append(out, t)
		}
	}
	return out
}

// noKey is nobody's key.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("nobody's key") }

// distrust says what an unknown or another key means.
func distrust(err error) error {
	var key *knownhosts.KeyError
	switch {
	case !errors.As(err, &key):
		return err
	case len(key.Want) == 0:
		return fmt.Errorf("%w: its key is not in the known hosts, and it was not talked to", err)
	default:
		return fmt.Errorf("%w: it has ANOTHER key than the one that is known, and it was not talked to", err)
	}
}

// watch asks the connection whether it is there until it is not, and then lets it go: who waits on it is told.
func (r *remote) watch(c *ssh.Client) {
	ended := make(chan struct{})
	go func() {
		_ = c.Wait()
		close(ended)
	}()
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for alive := true; alive; {
		select {
		case <-ended:
			alive = false
			continue
		case <-tick.C:
		}
		answered := make(chan error, 1)
		go func() {
			_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		}()
		select {
		case err := <-answered:
			alive = err == nil
		case <-time.After(aliveWithin):
			alive = false
		}
	}
	r.forget(c)
}

func (r *remote) forget(c *ssh.Client) {
	r.mu.Lock()
	if r.client == c {
		r.client = nil
	}
	r.mu.Unlock()
	_ = c.Close()
}

// session opens one; a connection that turns out to be gone is made anew, once. The function gives its place to the next.
func (r *remote) session(ctx context.Context) (*ssh.Session, func(), error) {
	for try := 0; ; try++ {
		c, err := r.connect(ctx)
		if err != nil {
			return nil, nil, err
		}
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("%s: %d commands run there already: %w", r.name, sessionsEach, context.Cause(ctx))
		}
		s, err := newSession(ctx, c)
		if err == nil {
			return s, func() { _ = s.Close(); <-r.slots }, nil
		}
		<-r.slots
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) { // to end the connection would end all that run on it
			return nil, nil, fmt.Errorf("%s: ssh: for %s no session: %w", r.name, refusedFor, err)
		}
		if r.forget(c); try > 0 {
			return nil, nil, fmt.Errorf("%s: ssh: %w", r.name, err)
		}
	}
}

// newSession asks an sshd again that refuses: it is there, and has not seen the end of earlier ones yet.
func newSession(ctx context.Context, c *ssh.Client) (*ssh.Session, error) {
	tick := time.NewTicker(refusedEvery)
	defer tick.Stop()
	for until := time.Now().Add(refusedFor); ; {
		s, err := c.NewSession()
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || time.Now().After(until) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// dial connects from the machine (direct-tcpip).
func (r *remote) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := c.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &dialError{from: r.name, addr: addr, err: err}
	}
	return conn, nil
}

// dialError is a connection that an sshd was asked for and could not make, or that the sshd could not be asked for.
type dialError struct {
	from, addr string
	err        error
}

func (e *dialError) Error() string {
	return fmt.Sprintf("connect from %s to %s: %v", e.from, e.addr, e.err)
}

// Unwrap gives the error, and the kernel's own where sshd's words tell it (strerror(3)): who is refused there is refused.
func (e *dialError) Unwrap() []error {
	var refused *ssh.OpenChannelError
	if !errors.As(e.err, &refused) {
		return []error{e.err}
	}
	for _, no := range []syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ETIMEDOUT} {
		if strings.Contains(strings.ToLower(refused.Message), no.Error()) {
			return []error{e.err, no}
		}
	}
	return []error{e.err}
}

// answered reports whether the sshd itself was there to say that the connection cannot be made.
func answered(err error) bool {
	var refused *ssh.OpenChannelError
	return errors.As(err, &refused) && refused.Reason == ssh.ConnectionFailed
}

func (r *remote) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		return nil
	}
	err := r.client.Close()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		err = nil
	}
	r.client = nil
	return err
}
