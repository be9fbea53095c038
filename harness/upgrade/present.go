package upgrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
)

// answersWithin is how long a machine that is there may be silent before it is looked at from the inside.
const answersWithin = 30 * time.Second

// at reports whether the machine is there and its kubelet runs at the version. What is taken away on a no is gone, so a no must have been seen: the
// machine does not exist, its kubelet answers with another version, or the machine itself says that its kubelet does not run, or it is off.
func (r *replacement) at(ctx context.Context, version string) (yes bool, err error) {
	if !slices.ContainsFunc(r.Target.Cluster.Machines(), func(m cluster.Machine) bool { return m.Name() == r.machine }) {
		return false, nil
	}
	err = cluster.Await(ctx, "the kubelet on "+r.machine, cluster.Wait{For: answersWithin}, func(ctx context.Context) error {
		said, err := kubeletVersion(r.Observer.Observe(ctx).Components, r.machine)
		yes = said == version
		return err
	})
	if err == nil || ctx.Err() != nil {
		return yes, err
	}
	m, openErr := r.open()
	if openErr != nil {
		return false, openErr
	}
	if downErr := kubeletDown(ctx, m); downErr != nil {
		return false, fmt.Errorf("whether %s runs %s is not known, and nothing is taken away: %w", r.machine, version, errors.Join(err, downErr))
	}
	return false, nil
}

// kubeletVersion is what the kubelet of a machine says; silence is an error.
func kubeletVersion(components []observe.Component, machine string) (string, error) {
	why := "it was not asked"
	for _, c := range components {
		if c.Name != observe.Kubelet || c.Machine != machine {
			continue
		}
		if c.Version != "" {
			return c.Version, nil
		}
		why = c.Error
	}
	return "", fmt.Errorf("the kubelet on %s does not say its version: %s", machine, why)
}

// kubeletDown says why it is not certain that the machine runs no kubelet.
func kubeletDown(ctx context.Context, m cluster.Machine) error {
	if p, err := cluster.As[cluster.Power](m); err == nil {
		if on, err := p.Powered(ctx); err == nil && !on {
			return nil
		}
	}
	said, err := cluster.Shell(ctx, m, "systemctl is-active kubelet || true")
	if err != nil {
		return err
	}
	if state := strings.TrimSpace(said); state == "active" || state == "activating" {
		return fmt.Errorf("its kubelet is %s and does not answer", state)
	}
	return nil
}
