package etcd

import (
	"context"
	"fmt"
	"slices"
)

// Handover has another member lead where a machine's does, so that nobody has to find out that the leader is gone. False: that member does not lead.
func (w *Watcher) Handover(ctx context.Context, machine string) (moved bool, err error) {
	members := w.Members(ctx, askedWithin)
	own := slices.IndexFunc(members, func(m Member) bool { return m.Machine == machine })
	if own < 0 || !members[own].IsLeader() {
		return false, nil
	}
	to := slices.IndexFunc(members, func(m Member) bool { return m.Machine != machine && m.Healthy() })
	if to < 0 {
		return false, fmt.Errorf("no member but the one on %s could lead", machine)
	}
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	c, _, err := w.to(ctx, machine)
	if err != nil {
		return false, err
	}
	if _, err := c.MoveLeader(ctx, members[to].ID); err != nil {
		return false, fmt.Errorf("have the member on %s lead in the place of the one on %s: %w", members[to].Machine, machine, err)
	}
	return true, nil
}
