package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Downgrading is the minor version that a downgrade, which is not over, goes down to; empty: there is none. Members before 3.6 do not know.
func (w *Watcher) Downgrading(ctx context.Context, machine string) (to string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askedWithin)
	defer cancel()
	c, endpoint, err := w.to(ctx, machine)
	if err != nil {
		return "", err
	}
	st, err := c.Status(ctx, endpoint)
	if err != nil {
		return "", fmt.Errorf("member on %s: %w", machine, err)
	}
	if d := st.DowngradeInfo; d != nil && d.Enabled {
		return Minor(d.TargetVersion), nil
	}
	return "", nil
}

// BeginDowngrade lets members of an older minor version in (etcdctl downgrade enable), once etcd says that it can be gone down to.
func (a *Access) BeginDowngrade(ctx context.Context, minor string) error {
	return a.downgrade(ctx, minor, clientv3.DowngradeValidate, clientv3.DowngradeEnable)
}

// CancelDowngrade undoes BeginDowngrade while all members are still at the newer version.
func (a *Access) CancelDowngrade(ctx context.Context) error {
	return a.downgrade(ctx, "", clientv3.DowngradeCancel)
}

func (a *Access) downgrade(ctx context.Context, minor string, actions ...clientv3.DowngradeAction) error {
	c, err := a.Client(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	for _, action := range actions {
		if _, err := c.Downgrade(ctx, action, minor); err != nil {
			return fmt.Errorf("downgrade of etcd to %s: %w", minor, err)
		}
	}
	return nil
}
