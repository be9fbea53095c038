package fault

import (
	"context"
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
)

// apiServerCrashLoop makes one version of the API server end at every start: what a bad build does, or a flag it no longer knows.
type apiServerCrashLoop struct{ version string }

func (f *apiServerCrashLoop) program() string { return "kube-apiserver@" + f.version }

func (f *apiServerCrashLoop) Inject(ctx context.Context, e *Env, machines []string) error {
	if f.version == "" {
		return cluster.Usagef("apiServerCrashLoop: version is missing: the version that crashes")
	}
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, k cluster.Killer) error {
		return k.Hold(ctx, f.program())
	})
}

func (f *apiServerCrashLoop) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, k cluster.Killer) error {
		return k.Release(ctx, f.program())
	})
}

// Effective: the machine is to run that version, as its manifest says, and its API server refuses connections; the other API servers are well.
func (f *apiServerCrashLoop) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	victims := map[string]bool{}
	var out []plan.Evidence
	ms, err := machinesOf(e, machines)
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		victims[m.Name()] = true
		tags, err := kubeadm.ManifestVersions(ctx, e.Cluster.Topology(), m)
		if err != nil {
			return nil, err
		}
		if tags["kube-apiserver"] != f.version {
			return nil, fmt.Errorf("%s is to run an API server %q yet", m.Name(), tags["kube-apiserver"])
		}
		err = livez(ctx, e, m.Name())
		if err == nil || !strings.Contains(err.Error(), "refused") {
			return nil, fmt.Errorf("the API server on %s is not dead: %w", m.Name(), err)
		}
		out = append(out, saw("lab network", "the manifest of %s asks for an API server %s, and it refuses connections: %v", m.Name(), f.version, err))
	}
	for _, name := range e.Cluster.Topology().ControlPlaneMachines() {
		if victims[name] {
			continue
		}
		if err := livez(ctx, e, name); err != nil {
			return nil, fmt.Errorf("the API server on %s should not be affected, and: %w", name, err)
		}
		out = append(out, saw("API server", "the one on %s, which is not affected, is alive", name))
	}
	return out, nil
}

func livez(ctx context.Context, e *Env, machine string) error {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	return kubeadm.Health(ctx, e.Cluster, machine, "/livez")
}

// Recovered: the machines' API servers are ready, of whatever version they are by then.
func (f *apiServerCrashLoop) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	return served(ctx, e, machines)
}
