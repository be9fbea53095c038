package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// WellBeside asks a machine's member on the machine's own loopback whether it is well, which needs no certificate: it is when it has a leader and a read that
// a quorum confirms (the member's /health).
func WellBeside(ctx context.Context, c cluster.Cluster, machine string) error {
	m, err := c.Machine(machine)
	if err != nil {
		return err
	}
	d, err := cluster.As[cluster.Dialer](m)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: d.Dial}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/health", MetricsPort), nil)
	if err != nil {
		return fmt.Errorf("member on %s: %w", machine, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("member on %s: %w", machine, err)
	}
	defer func() { _ = resp.Body.Close() }()
	const answer = 300
	said, err := io.ReadAll(io.LimitReader(resp.Body, answer))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status + ": " + strings.TrimSpace(string(said)))
	}
	if err != nil {
		return fmt.Errorf("member on %s: %w", machine, err)
	}
	return nil
}
