package load

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// naming is a member of etcd that asks for names once it is told to, and knows root alone.
type naming struct {
	etcdserverpb.UnimplementedAuthServer
	etcdserverpb.UnimplementedClusterServer
	etcdserverpb.UnimplementedKVServer

	asks atomic.Bool
}

func (a *naming) Authenticate(_ context.Context, r *etcdserverpb.AuthenticateRequest) (*etcdserverpb.AuthenticateResponse, error) {
	switch {
	case !a.asks.Load():
		return nil, rpctypes.ErrGRPCAuthNotEnabled
	case r.Name != rootUser || r.Password != rootUser:
		return nil, rpctypes.ErrGRPCAuthFailed
	}
	return &etcdserverpb.AuthenticateResponse{Token: "roots"}, nil
}

func (a *naming) admit(ctx context.Context) error {
	if md, _ := metadata.FromIncomingContext(ctx); a.asks.Load() && len(md.Get(rpctypes.TokenFieldNameGRPC)) == 0 {
		return rpctypes.ErrGRPCUserEmpty
	}
	return nil
}

func (a *naming) MemberList(ctx context.Context, _ *etcdserverpb.MemberListRequest) (*etcdserverpb.MemberListResponse, error) {
	return &etcdserverpb.MemberListResponse{Header: header(7)}, a.admit(ctx)
}

func (a *naming) Range(ctx context.Context, _ *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	return &etcdserverpb.RangeResponse{Header: header(7)}, a.admit(ctx)
}

// host is a machine that is reached at an address, and the cluster that it is all of.
type host struct {
	cluster.Machine
	at net.Addr
}

func (host) Addr() netip.Addr { return netip.MustParseAddr("127.0.0.1") }

type lone struct {
	cluster.Cluster
	host host
}

func (lone) Topology() cluster.Topology {
	return cluster.Topology{Name: "x", Etcd: cluster.EtcdOnly, EtcdMembers: 1}
}
func (l lone) Machine(string) (cluster.Machine, error) { return l.host, nil }
func (l lone) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, l.host.at.String())
}

// TestWhoAsksForNamesIsReadAllTheSame: what the observer sees of an etcd of which the script has it ask for names is etcd's, before, while it does and
// afterwards; and who is sent by the script without a name is nobody.
func TestWhoAsksForNamesIsReadAllTheSame(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, s := &naming{}, grpc.NewServer()
	etcdserverpb.RegisterAuthServer(s, a)
	etcdserverpb.RegisterClusterServer(s, a)
	etcdserverpb.RegisterKVServer(s, a)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)

	target := &observe.Target{Cluster: lone{host: host{at: l.Addr()}}}
	if target.Etcd, target.Members, err = etcd.Watch(t.Context(), target.Cluster); err != nil {
		t.Fatal(err)
	}
	if err := AsRoot(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.Members.Close() })
	script := newScript(target)
	t.Cleanup(func() { _ = script.close() })
	nobody, err := script.client(t.Context(), who{})
	if err != nil {
		t.Fatal(err)
	}
	for _, asks := range []bool{false, true, false} {
		a.asks.Store(asks)
		if m := target.Members.Membership(t.Context(), 5*time.Second); m.Error != "" || m.Revision != 7 {
			t.Errorf("it asks for names: %t; the observer has %+v", asks, m)
		}
		if _, err := nobody.Get(t.Context(), "k"); errors.Is(err, rpctypes.ErrUserEmpty) != asks {
			t.Errorf("it asks for names: %t; nobody is told %v", asks, err)
		}
	}
}
