package cli

import (
	"context"
	"errors"
	"os"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// work is a procedure on a cluster that an interrupt of any kind may end and the same command goes on with: an upgrade, a remedy.
type work struct {
	cluster cluster.Cluster
	ofRun   bool   // the cluster is the run's that has started this, and claimed by it
	dir     string // the journal's, and what else the work keeps
	ended   string // the journal's word that it has ended well
	anew    bool   // what is unfinished there is moved aside
	plan    *plan.Plan
	again   string // the command that goes on with it
}

// carryOut does the work. Begin is called before the first step, and learns from the claim whether it was begun before; a refusal is returned as it is,
// a step that failed is told with the command that goes on, and is NO-GO.
func (o *options) carryOut(ctx context.Context, w work, begin func(*plan.Claim) error) (err error) {
	if !w.ofRun {
		if err := w.cluster.Claim(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.cluster.Release(context.WithoutCancel(ctx))) }()
	}
	take := plan.TakeClaim
	if w.anew {
		take = plan.TakeClaimAnew
	}
	claim, err := take(w.dir, w.ended)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, claim.Close()) }()
	if err := begin(claim); err != nil {
		return err
	}
	runner := &plan.Runner{Journal: claim.Journal, Tell: func(id, name string) plan.Teller { return o.progress.begin(id + " " + name) }}
	if err := runner.Run(ctx, w.plan); err != nil {
		if errors.Is(err, plan.ErrRefused) {
			return err
		}
		printf(os.Stderr, "drydock: %v\nGo on with: %s\n", err, w.again)
		return codeError{exitNoGo}
	}
	return claim.Finish()
}

// watched connects to a cluster, and to what it can be observed by. The caller closes the target's members.
func watched(ctx context.Context, c cluster.Cluster) (*observe.Target, *observe.Observer, error) {
	target, err := observe.Open(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	observer, err := observe.NewObserver(target)
	if err != nil {
		return nil, nil, errors.Join(err, target.Members.Close())
	}
	return target, observer, nil
}
