package fault

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Provisioner makes machines of a cluster by the twin's calls, and can be told to make bad ones.
type Provisioner interface {
	// Spoil has the kubelets of the machines that fit a pattern die as soon as they are provisioned from now on; an empty one has none.
	Spoil(pattern string)
	// Spoilt are those that it was done to.
	Spoilt() []string
}

// DeadOnArrival is the fault of machines that are back and whose kubelet is not.
const DeadOnArrival = "machineDeadOnArrival"

// deadOnArrival lets a machine that the twin's calls make be back and provisioned, and its kubelet die then. For as long as nobody misses that, the node is told
// to be Ready: by what the kubelet has still said itself, or the one before it.
type deadOnArrival struct {
	pattern string
	had     int // it was done to so many before
}

func validDead(p Params) error {
	if p.ARM.Resource == "" {
		return errors.New("resource is missing: the machine's name, with * and ?")
	}
	if _, err := path.Match(p.ARM.Resource, ""); err != nil {
		return fmt.Errorf("resource is %q: %w", p.ARM.Resource, err)
	}
	return nil
}

// Inject tells whoever makes machines.
func (f *deadOnArrival) Inject(_ context.Context, e *Env, _ []string) error {
	if e.Pool == nil {
		return notBegunError{cluster.Usagef("no twin beside the cluster makes its machines: say spec.twin")}
	}
	f.had = len(e.Pool.Spoilt())
	e.Pool.Spoil(f.pattern)
	return nil
}

func (f *deadOnArrival) spoilt(e *Env) ([]cluster.Machine, error) {
	var out []cluster.Machine
	names := e.Pool.Spoilt()
	for _, name := range names[min(f.had, len(names)):] {
		m, err := e.Cluster.Machine(name)
		if err != nil {
			continue // it was replaced since, and is gone
		}
		if !slices.ContainsFunc(out, func(o cluster.Machine) bool { return o.Name() == name }) {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no machine that fits was made")
	}
	return out, nil
}

func active(ctx context.Context, m cluster.Machine) (string, bool) {
	r, err := m.Exec(ctx, cluster.Command{Args: []string{"systemctl", "is-active", observe.Kubelet}})
	return strings.TrimSpace(r.Stdout), err == nil
}

// Recover starts the kubelets that it was done to, and has no other die.
func (f *deadOnArrival) Recover(ctx context.Context, e *Env, _ []string) error {
	if e.Pool == nil {
		return nil
	}
	e.Pool.Spoil("")
	machines, err := f.spoilt(e)
	if err != nil {
		return nil //nolint:nilerr // there is nothing to undo
	}
	var errs []error
	for _, m := range machines {
		_, err := cluster.Shell(ctx, m, "systemctl start "+observe.Kubelet)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Effective: the service manager of a machine that was made says that its kubelet does not run.
func (f *deadOnArrival) Effective(ctx context.Context, e *Env, _ []string) ([]plan.Evidence, error) {
	if e.Pool == nil {
		return nil, errors.New("no twin beside the cluster makes its machines")
	}
	machines, err := f.spoilt(e)
	if err != nil {
		return nil, err
	}
	var out []plan.Evidence
	for _, m := range machines {
		state, runs := active(ctx, m)
		if runs || state == "" {
			return nil, fmt.Errorf("the kubelet on %s is %q", m.Name(), state)
		}
		out = append(out, saw("service manager of "+m.Name(), "the kubelet is %s", state))
	}
	return out, nil
}

// Recovered: they run, or their machines have been replaced by others.
func (f *deadOnArrival) Recovered(ctx context.Context, e *Env, _ []string) ([]plan.Evidence, error) {
	if e.Pool == nil {
		return []plan.Evidence{saw("this program", twinGone)}, nil
	}
	machines, err := f.spoilt(e)
	if err != nil {
		return []plan.Evidence{saw("list of machines", "none that it was done to is there")}, nil //nolint:nilerr // that is what is wanted
	}
	var out []plan.Evidence
	for _, m := range machines {
		state, runs := active(ctx, m)
		if !runs {
			return nil, fmt.Errorf("the kubelet on %s is %q", m.Name(), state)
		}
		out = append(out, saw("service manager of "+m.Name(), "the kubelet is %s", state))
	}
	return out, nil
}
