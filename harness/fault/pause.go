package fault

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// machineFreeze stops all that runs on a machine. Its kernel goes on: whoever connects is accepted and waits.
type machineFreeze struct{}

func (*machineFreeze) Inject(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, p cluster.Pauser) error { return p.Pause(ctx) })
}

func (*machineFreeze) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, p cluster.Pauser) error { return p.Resume(ctx) })
}

// Effective: the machine's service is connected to and answers not a byte, nothing on the machine runs, and the members elsewhere answer.
func (*machineFreeze) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, name := range machines {
		said, err := greet(ctx, e, machines, name)
		if err != nil {
			return nil, fmt.Errorf("%s is not frozen but gone: %w", name, err)
		}
		if said == nil {
			return nil, fmt.Errorf("%s still answers", name)
		}
		out = append(out, saw("network", "%s accepts connections and answers nothing: %v", name, said))
	}
	if err := capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, p cluster.Pauser) error {
		all, err := p.Paused(ctx)
		if err == nil && !all {
			err = fmt.Errorf("something on %s still runs", m.Name())
		}
		return err
	}); err != nil {
		return nil, err
	}
	return others(ctx, e, machines, out)
}

// greet connects to a machine's service from elsewhere and says hello: err is of the connection, said of the answer, nil when there is one, be it a refusal.
func greet(ctx context.Context, e *Env, victims []string, name string) (said, err error) {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	conn, err := connect(ctx, e, victims, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	// Whoever it is: its certificate is not looked at, and an alert is an answer as well.
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx) //nolint:gosec // see above
	if kind := cluster.FailureOf(err); kind != cluster.Deadline {
		return nil, nil // it answers
	}
	return err, nil
}

// Recovered: what was paused runs, and all that it served is served.
func (*machineFreeze) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, name := range machines {
		said, err := greet(ctx, e, nil, name)
		if err != nil || said != nil {
			return nil, fmt.Errorf("%s does not answer yet: %w", name, cmp.Or(err, said))
		}
		out = append(out, saw("network", "%s answers", name))
	}
	back, err := served(ctx, e, machines)
	return append(out, back...), err
}
