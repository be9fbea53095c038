// Command liar stands before a member of etcd. It passes on all that clients and the member say to one another, and lies to each watcher once, in the way that
// the watched keys name: one below PREFIX/lost/ is not sent an event, and so on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) //nolint:forbidigo // main
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "liar:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: liar LISTEN-ADDRESS MEMBER-ADDRESS")
	}
	member, err := grpc.NewClient("passthrough:///"+args[1], grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		return fmt.Errorf("the member at %s: %w", args[1], err)
	}
	defer func() { _ = member.Close() }()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", args[0])
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(func(_ any, client grpc.ServerStream) error { return pass(client, member) }))
	defer context.AfterFunc(ctx, s.Stop)()
	return s.Serve(l)
}

// raw takes messages as they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = slices.Clone(data)
	return nil
}

// pass carries one call to the member, and what it says back.
func pass(client grpc.ServerStream, to *grpc.ClientConn) error {
	method, _ := grpc.MethodFromServerStream(client)
	said, _ := metadata.FromIncomingContext(client.Context())
	member, err := to.NewStream(metadata.NewOutgoingContext(client.Context(), said.Copy()), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	go func() {
		for m := []byte(nil); ; {
			if client.RecvMsg(&m) != nil || member.SendMsg(&m) != nil {
				_ = member.CloseSend() // how it went the member says
				return
			}
		}
	}()
	var w told
	for {
		m := []byte(nil)
		if err := member.RecvMsg(&m); errors.Is(err, io.EOF) {
			client.SetTrailer(member.Trailer())
			return nil
		} else if err != nil {
			return err
		}
		all := [][]byte{m}
		if method == "/etcdserverpb.Watch/Watch" {
			if all, err = w.instead(m); err != nil {
				return err
			}
		}
		for _, m := range all {
			if err := client.SendMsg(&m); err != nil {
				return err
			}
		}
	}
}

// told is what a watcher was told: one has a stream of its own.
type told struct {
	lied bool
	held []byte // until the next event
}

// instead is what a watcher is sent instead of an answer.
func (t *told) instead(m []byte) ([][]byte, error) {
	var a etcdserverpb.WatchResponse
	if err := a.Unmarshal(m); err != nil {
		return nil, fmt.Errorf("an answer to a watcher: %w", err)
	}
	switch held := t.held; {
	case len(a.Events) == 0:
		return [][]byte{m}, nil
	case held != nil:
		t.held = nil
		return [][]byte{m, held}, nil
	case t.lied:
		return [][]byte{m}, nil
	}
	t.lied = true
	switch key := string(a.Events[0].Kv.Key); {
	case strings.Contains(key, "/lost/"):
		return nil, nil
	case strings.Contains(key, "/twice/"):
		return [][]byte{m, m}, nil
	case strings.Contains(key, "/late/"):
		t.held = m
		return nil, nil
	case strings.Contains(key, "/promised/"):
		notice, err := (&etcdserverpb.WatchResponse{Header: a.Header, WatchId: a.WatchId}).Marshal()
		return [][]byte{notice, m}, err
	}
	return [][]byte{m}, nil
}
