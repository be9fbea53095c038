package fault

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
)

// apiServerCrashLoop makes one version of the API server end at every start: what a bad build does, or a flag it no longer knows.
type apiServerCrashLoop struct {
	version string
	mu      sync.Mutex
	old     map[string][]string // machine -> the directories of its API server's logs when it was looked at first, before the fault: not the new program's
}

func validCrashLoop(p Params) error {
	if p.Version == "" {
		return errors.New("version is missing: the version that crashes")
	}
	return nil
}

func (f *apiServerCrashLoop) program() string { return "kube-apiserver@" + f.version }

func (f *apiServerCrashLoop) Inject(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, k cluster.Killer) error {
		how, err := k.Hold(ctx, f.program())
		if err == nil && how != cluster.HeldStarts {
			err = fmt.Errorf("%s does not crash in a loop: %s", f.program(), how)
		}
		return err
	})
}

func (f *apiServerCrashLoop) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, k cluster.Killer) error {
		return k.Release(ctx, f.program())
	})
}

// Effective: the machine is to run that version, as its manifest says, its kubelet has started that program again and again, and its API server
// refuses connections; the other API servers are well. A new tag and a refused connection alone are what every healthy restart shows.
func (f *apiServerCrashLoop) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	victims := map[string]bool{}
	var out []plan.Evidence
	ms, err := machinesOf(e, machines)
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		victims[m.Name()] = true
		logs, err := cluster.Glob(ctx, m, podLogs(m.Name()))
		if err != nil {
			return nil, err
		}
		dir, restarts := crashes(logs, f.known(m.Name(), logs))
		tags, err := kubeadm.ManifestVersions(ctx, e.Cluster.Topology(), m)
		if err != nil {
			return nil, err
		}
		if tags["kube-apiserver"] != f.version {
			return nil, fmt.Errorf("%s is to run an API server %q yet", m.Name(), tags["kube-apiserver"])
		}
		if restarts < crashLoop {
			return nil, fmt.Errorf("the kubelet on %s has restarted the API server %s %d times, and a healthy one once", m.Name(), f.version, max(restarts, 0))
		}
		if err = livez(ctx, e, m.Name()); cluster.FailureOf(err) != cluster.Refused {
			return nil, fmt.Errorf("the API server on %s does not refuse connections, it answers: %v", m.Name(), err) //nolint:errorlint // may be nil
		}
		out = append(out,
			saw("kubelet of "+m.Name(), "it has restarted the API server %s %d times: %s", f.version, restarts, dir),
			saw("lab network", "the manifest of %s asks for an API server %s, and it refuses connections: %v", m.Name(), f.version, err))
	}
	for _, name := range e.without(e.Cluster.Topology().ControlPlaneMachines()) {
		if victims[name] {
			continue
		}
		if err := livez(ctx, e, name); err != nil {
			return nil, controlError{fmt.Errorf("the API server on %s should not be affected, and: %w", name, err)}
		}
		out = append(out, saw("API server", "the one on %s, which is not affected, is alive", name))
	}
	return out, nil
}

// crashLoop is how many restarts make one. A healthy upgrade restarts the new static pod once, when the new kubelet takes over.
const crashLoop = 2

// podLogs are the logs of a machine's API server, as every kubelet names them: NAMESPACE_POD_UID/CONTAINER/RESTARTS.log. The UID of a static pod is
// the hash of its manifest.
func podLogs(machine string) string {
	return "/var/log/pods/kube-system_kube-apiserver-" + machine + "_*/kube-apiserver/*.log"
}

// known gives the directories that were there at the first look, which is the one before the injection.
func (f *apiServerCrashLoop) known(machine string, logs []string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.old == nil {
		f.old = map[string][]string{}
	}
	if _, looked := f.old[machine]; !looked {
		f.old[machine] = []string{}
		for _, l := range logs {
			f.old[machine] = append(f.old[machine], path.Dir(l))
		}
	}
	return f.old[machine]
}

// crashes is the highest restart count among the logs outside the old directories, -1 for none, and where it is.
func crashes(logs, old []string) (dir string, restarts int) {
	restarts = -1
	for _, l := range logs {
		n, err := strconv.Atoi(strings.TrimSuffix(path.Base(l), ".log"))
		if err == nil && n > restarts && !slices.Contains(old, path.Dir(l)) {
			dir, restarts = path.Dir(l), n
		}
	}
	return dir, restarts
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
