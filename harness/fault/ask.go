package fault

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
)

// line is a way to a service of one machine over a connection that is kept: while that lasts, the process at its other end is the same.
type line struct {
	service service
	machine string
	client  *http.Client
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	addr    string
	dials   *atomic.Int64
	started time.Time // of that process, as it says itself; zero: not told yet
}

// open makes a line that is not connected yet: from outside the machine, or from the machine itself to what listens on its loopback only. It asks as the
// administrator, whom alone a kubelet lets see anything.
func (s service) open(ctx context.Context, e *Env, machine string) (*line, error) {
	m, err := e.Cluster.Machine(machine)
	if err != nil {
		return nil, err
	}
	l := &line{service: s, machine: machine, dials: &atomic.Int64{}, dial: e.Cluster.Dial, addr: net.JoinHostPort(m.Addr().String(), strconv.Itoa(s.port))}
	if s.inside {
		d, err := cluster.As[cluster.Dialer](m)
		if err != nil {
			return nil, err
		}
		l.dial, l.addr = d.Dial, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	}
	// Controller-manager, scheduler and kubelet sign their own certificates. Nothing secret is sent.
	config := &tls.Config{InsecureSkipVerify: true}
	if !s.plain {
		cfg, err := kubeadm.RESTConfig(ctx, e.Cluster)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cfg.CertData, cfg.KeyData)
		if err != nil {
			return nil, fmt.Errorf("the administrator's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	l.keep(config)
	return l, nil
}

// keep makes the line's client, of one connection at a time.
func (l *line) keep(config *tls.Config) {
	l.client = &http.Client{Transport: &http.Transport{
		MaxConnsPerHost: 1, TLSClientConfig: config,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			l.dials.Add(1)
			return l.dial(ctx, network, addr)
		},
	}}
}

func (l *line) close() { l.client.CloseIdleConnections() }

// knock connects and says nothing: a kernel does that for a process that is stopped as well.
func (l *line) knock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	conn, err := l.dial(ctx, "tcp", l.addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// get asks for a path and gives the page, whatever its status.
func (l *line) get(ctx context.Context, path string, within time.Duration) (page []byte, status int, err error) {
	page, resp, err := l.fetch(ctx, path, within)
	if err != nil {
		return nil, 0, err
	}
	return page, resp.StatusCode, nil
}

// fetch gives with the page what was said before it. The answer is read whole, so that the connection is kept.
func (l *line) fetch(ctx context.Context, path string, within time.Duration) (page []byte, said *http.Response, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	scheme := "https://"
	if l.service.plain {
		scheme = "http://"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+l.addr+path, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("%s on %s: %w", l.service.name, l.machine, err)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("%s on %s: %w", l.service.name, l.machine, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if page, err = io.ReadAll(resp.Body); err != nil {
		return nil, nil, fmt.Errorf("%s on %s: %s: %w", l.service.name, l.machine, path, err)
	}
	return page, resp, nil
}

// answers asks the cheap path; whoever answers at all is there.
func (l *line) answers(ctx context.Context) error {
	_, _, err := l.get(ctx, l.service.path, look)
	return err
}

// well asks it whether it is.
func (l *line) well(ctx context.Context) error {
	page, status, err := l.get(ctx, l.service.path, look)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s on %s: %s: %s: %.300s", l.service.name, l.machine, l.service.path, http.StatusText(status), page)
	}
	return err
}

// pageWithin is how long a page of metrics may take, which on a busy host is longer than a look.
const pageWithin = 10 * time.Second

// learn has the process tell when it started.
func (l *line) learn(ctx context.Context) (err error) {
	l.started, err = l.since(ctx)
	return err
}

// since asks whoever is at the other end when he started.
func (l *line) since(ctx context.Context) (started time.Time, err error) {
	page, status, err := l.get(ctx, "/metrics", pageWithin)
	if err != nil {
		return started, err
	}
	if status != http.StatusOK {
		return started, fmt.Errorf("%s on %s: /metrics: %s", l.service.name, l.machine, http.StatusText(status))
	}
	if started, err = observe.Started(page); err != nil {
		return started, fmt.Errorf("%s on %s: %w", l.service.name, l.machine, err)
	}
	return started, nil
}

// ended reports how the process at the other end was seen to have ended: nobody listens any more, or who answers by a new connection says that he started
// later. A connection that is gone says nothing by itself: who waits in vain for an answer ends it himself, and a server does that with one that is idle.
// An answer over the connection from before, or of the process from before, says that it has not ended; none in time says nothing. All three are errors.
func (l *line) ended(ctx context.Context) (how string, err error) {
	_, _, err = l.get(ctx, l.service.path, look)
	switch f := cluster.FailureOf(err); {
	case f == cluster.Refused, f == cluster.Reset:
		return fmt.Sprintf("its process has ended: %v", err), nil
	case err != nil:
		return "", fmt.Errorf("whether %s on %s has ended is not known: %w", l.service.name, l.machine, err)
	case l.dials.Load() < 2:
		return "", fmt.Errorf("%s on %s answers over the connection that was there before", l.service.name, l.machine)
	}
	now, err := l.since(ctx)
	if err != nil {
		return "", fmt.Errorf("whether who answers is another %s on %s is not known: %w", l.service.name, l.machine, err)
	}
	if !now.After(l.started) {
		return "", fmt.Errorf("%s on %s is of %s, the process from before: only the connection to it has ended", l.service.name, l.machine, now.Format(time.TimeOnly))
	}
	return "the connection to its process has ended, and who answers in its place says that he started at " + now.Format(time.TimeOnly), nil
}
