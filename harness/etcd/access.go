// Package etcd reads and changes the membership of a cluster's etcd: observation of every member, quorum, hashes at one
// revision, bootstrap of a bare etcd cluster, and the replacement of a member.
package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"drydock.dev/drydock/harness/cluster"
)

// Ports of a member, kubeadm's and ours alike.
const (
	ClientPort  = 2379
	PeerPort    = 2380
	MetricsPort = 2381 // plain HTTP on the machine's loopback
)

// Access reaches the etcd of one cluster.
type Access struct {
	cluster  cluster.Cluster
	machines []string
	tls      *tls.Config // nil: plain HTTP
	user     string      // whom clients say they are, where etcd asks for it; empty: nobody
	password string
}

// Open prepares access to the cluster's etcd. A stacked etcd's client certificate is read from a control plane.
func Open(ctx context.Context, c cluster.Cluster) (*Access, error) {
	a := &Access{cluster: c, machines: c.Topology().EtcdMachines()}
	if c.Topology().Etcd != cluster.EtcdStacked {
		return a, nil
	}
	var err error
	for _, name := range a.machines { // any control plane has one; some may be off
		if a.tls, err = readTLS(ctx, c, name); err == nil {
			return a, nil
		}
	}
	return nil, fmt.Errorf("etcd: client certificate: %w", err)
}

func readTLS(ctx context.Context, c cluster.Cluster, machine string) (*tls.Config, error) {
	m, err := c.Machine(machine)
	if err != nil {
		return nil, err
	}
	const pki = "/etc/kubernetes/pki/etcd/"
	var files [3][]byte
	for i, name := range []string{"ca.crt", "healthcheck-client.crt", "healthcheck-client.key"} {
		if files[i], err = m.ReadFile(ctx, pki+name); err != nil {
			return nil, err
		}
	}
	pair, err := tls.X509KeyPair(files[1], files[2])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", machine, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(files[0]) {
		return nil, fmt.Errorf("%s: %sca.crt holds no certificate", machine, pki)
	}
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// As is the same access, of a user of etcd's own.
func (a *Access) As(user, password string) *Access {
	b := *a
	b.user, b.password = user, password
	return &b
}

// Machines names the machines that should carry a member.
func (a *Access) Machines() []string { return a.machines }

// Endpoint is the client URL of a machine's member.
func (a *Access) Endpoint(machine string) (string, error) {
	m, err := a.cluster.Machine(machine)
	if err != nil {
		return "", err
	}
	return a.scheme() + "://" + net.JoinHostPort(m.Addr().String(), strconv.Itoa(ClientPort)), nil
}

func (a *Access) scheme() string {
	if a.tls != nil {
		return "https"
	}
	return "http"
}

// Client connects to the members of the named machines, or of all. The caller closes it.
func (a *Access) Client(ctx context.Context, machines ...string) (*clientv3.Client, error) {
	if len(machines) == 0 {
		machines = a.machines
	}
	cfg := a.config(ctx)
	for _, m := range machines {
		e, err := a.Endpoint(m)
		if err != nil {
			return nil, err
		}
		cfg.Endpoints = append(cfg.Endpoints, e)
	}
	cl, err := clientv3.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("etcd: connect: %w", err)
	}
	return cl, nil
}

func (a *Access) config(ctx context.Context) clientv3.Config {
	return clientv3.Config{
		Context: ctx, TLS: a.tls, Username: a.user, Password: a.password, Logger: zap.NewNop(), DialTimeout: 5 * time.Second,
		// A member that vanishes without a word is noticed by keep-alives, not by TCP. gRPC sends none more often than every 10 s, and etcd cuts who
		// pings a connection on which nothing is asked (ENHANCE_YOUR_CALM, too_many_pings).
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 2 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(reconnect()), grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return a.cluster.Dial(ctx, "tcp", addr)
		})},
	}
}

// reconnect is how soon a lost connection is tried again. gRPC's own delays grow to 2 minutes: a member that came back would be taken for dead
// as long as that.
func reconnect() grpc.ConnectParams {
	return grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
		MinConnectTimeout: 2 * time.Second,
	}
}

// Member is one member as its own machine and its own answers show it.
type Member struct {
	Machine  string          `json:"machine"`
	Error    string          `json:"error,omitempty"`   // why it did not answer; the rest is then zero
	Failure  cluster.Failure `json:"failure,omitempty"` // what kind of error that is
	ID       uint64          `json:"id,omitempty"`
	Leader   uint64          `json:"leader,omitempty"` // the member it takes for the leader; 0: none
	Learner  bool            `json:"learner,omitempty"`
	Term     uint64          `json:"term,omitempty"`
	Revision int64           `json:"revision,omitempty"`
	Applied  uint64          `json:"applied,omitempty"` // the last entry of the log that is in its data
	DBSize   int64           `json:"dbSize,omitempty"`
	Version  string          `json:"version,omitempty"`
	Alarms   []string        `json:"alarms,omitempty"`
	Started  time.Time       `json:"started,omitzero"` // when its process started; zero when its metrics did not answer
}

// Healthy reports whether the member answered, follows a leader and votes.
func (m Member) Healthy() bool { return m.Error == "" && m.Leader != 0 && !m.Learner }

// IsLeader reports whether the member takes itself for the leader.
func (m Member) IsLeader() bool { return m.Error == "" && m.ID == m.Leader && m.ID != 0 }

// Watcher observes members again and again over connections it keeps.
type Watcher struct {
	access *Access

	mu      sync.Mutex
	clients map[string]*clientv3.Client // of the machines that are, or were, there
}

// Watch makes a watcher; the caller closes it.
func (a *Access) Watch(ctx context.Context) (*Watcher, error) {
	w := &Watcher{access: a, clients: map[string]*clientv3.Client{}}
	for _, m := range a.machines {
		if _, err := a.cluster.Machine(m); err != nil { // it is being replaced, say: its member is seen as gone until there is a machine again
			continue
		}
		if _, err := w.client(ctx, m); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	return w, nil
}

// client is the one of a machine's member, made when it is first asked for. It lives until Close.
func (w *Watcher) client(ctx context.Context, machine string) (*clientv3.Client, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.clients[machine]; c != nil {
		return c, nil
	}
	c, err := w.access.Client(context.WithoutCancel(ctx), machine)
	if err == nil {
		w.clients[machine] = c
	}
	return c, err
}

// to is a machine's member: a client and its URL.
func (w *Watcher) to(ctx context.Context, machine string) (c *clientv3.Client, endpoint string, err error) {
	if endpoint, err = w.access.Endpoint(machine); err == nil {
		c, err = w.client(ctx, machine)
	}
	return c, endpoint, err
}

// known are the clients there are.
func (w *Watcher) known() map[string]*clientv3.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.clients)
}

// Watch prepares access to the cluster's etcd and makes a watcher; the caller closes it.
func Watch(ctx context.Context, c cluster.Cluster) (*Access, *Watcher, error) {
	a, err := Open(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	w, err := a.Watch(ctx)
	return a, w, err
}

// Close ends the watcher's connections.
func (w *Watcher) Close() error {
	var errs []error
	for _, c := range w.known() {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Members asks every member for its status at once; one that does not answer within the timeout carries the error.
// Status is served from the member's own state and needs no quorum.
func (w *Watcher) Members(ctx context.Context, timeout time.Duration) []Member {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out := make([]Member, len(w.access.machines))
	done := make(chan struct{})
	for i, name := range w.access.machines {
		go func() {
			out[i] = w.member(ctx, name)
			done <- struct{}{}
		}()
	}
	for range out {
		<-done
	}
	return out
}

func (w *Watcher) member(ctx context.Context, machine string) Member {
	m := Member{Machine: machine}
	c, endpoint, err := w.to(ctx, machine)
	if err == nil {
		var st *clientv3.StatusResponse
		if st, err = c.Status(ctx, endpoint); err == nil {
			m.ID, m.Leader, m.Learner, m.Term = st.Header.MemberId, st.Leader, st.IsLearner, st.RaftTerm
			m.Revision, m.Applied, m.DBSize, m.Version, m.Alarms = st.Header.Revision, st.RaftAppliedIndex, st.DbSize, st.Version, st.Errors
		}
	}
	if err != nil {
		m.Error, m.Failure = err.Error(), FailureOf(err)
		if m.Failure != cluster.Refused && w.access.refuses(ctx, machine) {
			m.Failure = cluster.Refused
		}
		return m
	}
	m.Started, _ = w.access.started(ctx, machine) // a missing start time is seen as zero
	return m
}

// refusalWithin is how long a look at a port may take: a kernel that refuses does so at once.
const refusalWithin = 200 * time.Millisecond

// refuses reports whether nothing listens on the member's port. A gRPC client that is refused tries again until its time is up, and then may
// say that only.
func (a *Access) refuses(ctx context.Context, machine string) bool {
	m, err := a.cluster.Machine(machine)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusalWithin)
	defer cancel()
	conn, err := a.cluster.Dial(ctx, "tcp", net.JoinHostPort(m.Addr().String(), strconv.Itoa(ClientPort)))
	if err == nil {
		_ = conn.Close()
	}
	return cluster.FailureOf(err) == cluster.Refused
}

// Identity is the cluster's id and a revision it has, as a healthy member says.
func (w *Watcher) Identity(ctx context.Context) (id uint64, revision int64, err error) {
	var errs []error
	for _, m := range w.Members(ctx, 5*time.Second) {
		if !m.Healthy() {
			errs = append(errs, fmt.Errorf("member on %s: %s", m.Machine, m.Error))
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		c, endpoint, err := w.to(ctx, m.Machine)
		if err != nil {
			return 0, 0, err
		}
		st, err := c.Status(ctx, endpoint)
		if err != nil {
			return 0, 0, fmt.Errorf("etcd: member on %s: %w", m.Machine, err)
		}
		return st.Header.ClusterId, st.Header.Revision, nil
	}
	return 0, 0, fmt.Errorf("etcd: no healthy member says which cluster it is: %w", errors.Join(errs...))
}
