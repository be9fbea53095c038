package upgrade

import (
	"context"
	"fmt"
	"path"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/upgrade/policy"
	"drydock.dev/drydock/harness/upgrade/preflight"
)

// Preflight looks at everything that could stand against the upgrade, and touches nothing.
func (u *Upgrade) Preflight(ctx context.Context) ([]policy.Finding, error) {
	in := preflight.Input{
		Target: u.Target, Observation: u.Observer.Observe(ctx), Path: u.Path, Surge: u.Spec.Workers == Surge, ControlPlaneOnly: u.Spec.ControlPlaneOnly,
		OwnCordon: CordonedBy,
	}
	var err error
	if in.Replacing, err = u.replacing(); err != nil {
		return nil, err
	}
	if in.Unfinished, err = u.unfinished(ctx); err != nil {
		return nil, err
	}
	if len(in.Unfinished) == 0 { // after an interruption what ails may be our own doing
		u.ailing = health.Ailing(in.Observation)
	}
	return preflight.Look(ctx, in)
}

// preflight is the step: blockers refuse the upgrade before anything is touched.
func (u *Upgrade) preflight(ctx context.Context) error {
	found, err := u.Preflight(ctx)
	if err != nil {
		return err
	}
	var blocking []string
	for _, f := range found {
		if f.Blocks() {
			blocking = append(blocking, fmt.Sprintf("%s: %s (%s). Why: %s. What to do: %s", f.Check, f.What, f.Severity, f.Why, f.Fix))
		}
	}
	if len(blocking) == 0 || u.Spec.Force {
		if u.Accepted != nil {
			return u.Accepted()
		}
		return nil
	}
	return &cluster.UsageError{Err: fmt.Errorf("%w: preflight refuses %s:\n  %s", policy.ErrRefused, u.Path, strings.Join(blocking, "\n  "))}
}

// unfinished finds machines whose upgrade was begun by Drydock and has not passed its gate.
func (u *Upgrade) unfinished(ctx context.Context) (map[string]string, error) {
	out, err := u.replacing()
	if err != nil {
		return nil, err
	}
	for _, m := range u.Target.Cluster.Machines() {
		if m.Role() == cluster.Etcd || out[m.Name()] != "" { // a machine that is being replaced may be off
			continue
		}
		saved, err := cluster.Glob(ctx, m, SavedDir+"/*")
		if err != nil {
			return nil, err
		}
		for _, dir := range saved {
			out[m.Name()] = strings.TrimSpace(out[m.Name()] + " " + path.Base(dir))
		}
	}
	return out, nil
}
