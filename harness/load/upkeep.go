package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Compact drops what was before a revision, on the disk as well before it is acknowledged.
type Compact struct {
	Keep int64 `yaml:"keep"` // so many revisions before the newest stay
}

func (c *Compact) validate() error {
	if c.Keep < 0 {
		return fmt.Errorf("compact: keep is %d; it cannot be negative", c.Keep)
	}
	return nil
}

// String is the compaction in a plan.
func (c *Compact) String() string {
	if c.Keep > 0 {
		return fmt.Sprintf("a compaction, all but the last %d revisions", c.Keep)
	}
	return "a compaction"
}

func (c *Compact) send(ctx context.Context, s *script, w who) (string, error) {
	client, err := s.client(ctx, w)
	if err != nil {
		return "", err
	}
	now, err := client.Get(ctx, scriptPrefix)
	if err != nil {
		return "", fmt.Errorf("the revision to compact at: %w", err)
	}
	at := now.Header.Revision - c.Keep
	if _, err := client.Compact(ctx, at, clientv3.WithCompactPhysical()); err != nil {
		return "", err
	}
	return fmt.Sprintf("compacted at revision %d of %d", at, now.Header.Revision), nil
}

// Defragment has one member rewrite its database.
type Defragment struct{}

func (*Defragment) validate() error { return nil }

// String is the defragmentation in a plan.
func (*Defragment) String() string { return "a defragmentation" }

var errNoMember = errors.New("it is of one member: say through, and the machine")

func (*Defragment) send(ctx context.Context, s *script, w who) (string, error) {
	client, err := s.client(ctx, w)
	if err != nil {
		return "", err
	}
	begun := time.Now()
	if _, err := client.Defragment(ctx, client.Endpoints()[0]); err != nil {
		return "", err
	}
	return "it took " + time.Since(begun).Round(time.Millisecond).String(), nil
}

// Alarms asks for the list of alarms, which goes through the log that all members share and writes nothing to their databases.
type Alarms struct {
	Times int `yaml:"times"` // 0: once
}

func (a *Alarms) validate() error {
	if a.Times < 0 {
		return fmt.Errorf("alarms: times is %d; it cannot be negative", a.Times)
	}
	return nil
}

// String is the question in a plan.
func (a *Alarms) String() string { return fmt.Sprintf("the list of alarms, %d times", max(1, a.Times)) }

func (a *Alarms) send(ctx context.Context, s *script, w who) (string, error) {
	client, err := s.client(ctx, w)
	if err != nil {
		return "", err
	}
	for n := range max(1, a.Times) {
		if _, err := client.AlarmList(ctx); err != nil {
			return "", fmt.Errorf("after %d answers: %w", n, err)
		}
	}
	return fmt.Sprintf("answered %d times", max(1, a.Times)), nil
}
