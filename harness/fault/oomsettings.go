package fault

import (
	"context"
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// settings are those it makes; a kubelet makes its own of both at every start (setupKernelTunables in Kubernetes' pkg/kubelet/cm), so they are made
// while it runs.
func (f *outOfMemory) settings() map[string]string {
	switch {
	case f.stays:
		return map[string]string{cluster.PanicOnOOM: "1", cluster.PanicReboots: "0"}
	case f.panics:
		return map[string]string{cluster.PanicOnOOM: "1", cluster.PanicReboots: rebootsIn}
	}
	return map[string]string{cluster.PanicOnOOM: "0"}
}

// live reads both settings of the machine's kernel.
func live(ctx context.Context, m cluster.Machine) (map[string]string, error) {
	out := map[string]string{}
	for _, file := range []string{cluster.PanicOnOOM, cluster.PanicReboots} {
		raw, err := m.ReadFile(ctx, file)
		if err != nil {
			return nil, err
		}
		out[file] = strings.TrimSpace(string(raw))
	}
	return out, nil
}

// set makes settings and reads them again.
func set(ctx context.Context, m cluster.Machine, settings map[string]string) error {
	for file, value := range settings {
		if _, err := cluster.Shell(ctx, m, fmt.Sprintf("echo %s > %s", value, file)); err != nil {
			return err
		}
	}
	now, err := live(ctx, m)
	if err != nil {
		return err
	}
	for file, value := range settings {
		if now[file] != value {
			return fmt.Errorf("%s of %s was set to %s and is %q", file, m.Name(), value, now[file])
		}
	}
	return nil
}

// restartKubelet finds out whether the settings survive it: a finding, whichever it is.
func (f *outOfMemory) restartKubelet(ctx context.Context, m cluster.Machine) error {
	if _, err := cluster.Shell(ctx, m, "systemctl restart kubelet"); err != nil {
		return err
	}
	var now map[string]string
	err := cluster.Await(ctx, "the kubelet of "+m.Name()+" to make settings of its own", cluster.Wait{For: resetWithin}, func(ctx context.Context) (err error) {
		if now, err = live(ctx, m); err != nil {
			return err
		}
		for file, value := range f.settings() {
			if now[file] == value || now[file] == "" {
				return fmt.Errorf("%s is %q", file, now[file])
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return err
	}
	found := saw("kubelet of "+m.Name(), "vm.panic_on_oom was set to 1 and kernel.panic to %s; a restart of the kubelet made them %s and %s: the settings do not survive one",
		f.settings()[cluster.PanicReboots], now[cluster.PanicOnOOM], now[cluster.PanicReboots])
	if err != nil {
		found = saw("kubelet of "+m.Name(), "vm.panic_on_oom was set to 1, and within %s a restart of the kubelet did not change that: %v", resetWithin, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found[m.Name()] = found
	return nil
}
