package fault

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// outOfMemory fills machines' memory. What their kernels do then their settings say: they panic and boot, or end one process.
type outOfMemory struct {
	panics bool
	stays  bool // after its panic the machine does not boot by itself

	mu     sync.Mutex
	before map[string]oomBefore     // as machines were at the first look, which is before the injection
	found  map[string]plan.Evidence // what a start of the kubelet made of the setting
	pushed map[string]bool          // machines that did not come back by themselves
	done   bool                     // by this process, or its effect was seen: it must have left its traces
}

// oomBefore is how a machine was. What Recover needs of it is kept on the machine.
type oomBefore struct {
	Boot     string            `json:"boot"`
	Settings map[string]string `json:"settings"` // by file
	console  int               // bytes it had said
}

const (
	oomFile   = "/var/lib/drydock/out-of-memory.json"
	rebootsIn = "5" // seconds
	// saysReboot is what a kernel says after a panic when it will boot (kernel/panic.c).
	saysReboot = "Rebooting in"
	// resetWithin is how long a kubelet may take to be started and to set the kernel's settings to its own.
	resetWithin = 2 * time.Minute
	// backWithin is how long a machine may take to boot by itself, the seconds before included: a kernel of its own, on a processor that a program
	// imitates, takes half a minute where nothing else runs.
	backWithin = 3 * time.Minute
)

func (f *outOfMemory) Inject(ctx context.Context, e *Env, machines []string) error {
	f.happened()
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, mem cluster.Memory) error {
		was, err := f.known(ctx, m, mem)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(was)
		if err != nil {
			return err
		}
		if err := m.WriteFile(ctx, oomFile, raw, 0o600); err != nil {
			return err
		}
		if err := set(ctx, m, f.settings()); err != nil {
			return err
		}
		if f.panics && e.Cluster.Topology().Kubernetes() && m.Role() != cluster.Etcd {
			if err := f.restartKubelet(ctx, m); err != nil {
				return err
			}
			if err := set(ctx, m, f.settings()); err != nil {
				return err
			}
		}
		return mem.FillMemory(ctx)
	})
}

func (f *outOfMemory) happened() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = true
}

// known is how the machine was at the first look.
func (f *outOfMemory) known(ctx context.Context, m cluster.Machine, mem cluster.Memory) (oomBefore, error) {
	f.mu.Lock()
	was, looked := f.before[m.Name()]
	f.mu.Unlock()
	if looked {
		return was, nil
	}
	var err error
	if was.Boot, err = cluster.KernelBootID(ctx, m); err != nil {
		return was, err
	}
	if was.Settings, err = live(ctx, m); err != nil {
		return was, err
	}
	said, err := mem.Console(ctx)
	if err != nil {
		return was, err
	}
	was.console = len(said)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before == nil {
		f.before, f.found, f.pushed = map[string]oomBefore{}, map[string]plan.Evidence{}, map[string]bool{}
	}
	f.before[m.Name()] = was
	return was, nil
}

// Recover waits for a machine that has panicked to be back: one that does not come is switched on, and Recovered tells. Of one that has not panicked the
// memory is freed and the settings are made what they were.
func (f *outOfMemory) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, mem cluster.Memory) error {
		if err := f.back(ctx, m); err != nil {
			return err
		}
		if err := mem.FreeMemory(ctx); err != nil {
			return err
		}
		raw, err := m.ReadFile(ctx, oomFile)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		var was oomBefore
		if err == nil {
			err = json.Unmarshal(raw, &was)
		}
		if err != nil {
			return fmt.Errorf("%s: what it was like before: %w", m.Name(), err)
		}
		boot, err := cluster.KernelBootID(ctx, m)
		if err != nil {
			return err
		}
		if boot == was.Boot { // else the boot and the kubelet have made them
			if err := set(ctx, m, was.Settings); err != nil {
				return err
			}
		}
		return forgetBefore(ctx, m)
	})
}

// Tidy removes what Recover would have gone by.
func (f *outOfMemory) Tidy(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, _ cluster.Memory) error { return forgetBefore(ctx, m) })
}

func forgetBefore(ctx context.Context, m cluster.Machine) error {
	_, err := cluster.Shell(ctx, m, fmt.Sprintf("rm -f %s; rmdir %s 2>/dev/null || true", oomFile, path.Dir(oomFile)))
	return err
}

func (f *outOfMemory) back(ctx context.Context, m cluster.Machine) error {
	within := backWithin
	if f.stays { // nobody waits for what does not come
		within = look
	}
	err := cluster.Await(ctx, m.Name()+" back", cluster.Wait{For: within}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, look)
		defer cancel()
		_, err := cluster.KernelBootID(ctx, m)
		return err
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	f.mu.Lock()
	if f.pushed != nil { // else another process has injected it, and this one only puts right
		f.pushed[m.Name()] = true
	}
	f.mu.Unlock()
	p, err := cluster.As[cluster.Power](m)
	if err != nil {
		return err
	}
	return p.Reboot(ctx) // its power may be on, and its kernel stand still
}

// said is the last line of the machine's kernel since the first look that has those words.
func (f *outOfMemory) said(ctx context.Context, m cluster.Machine, words string) (string, error) {
	mem, err := cluster.As[cluster.Memory](m)
	if err != nil {
		return "", err
	}
	was, err := f.known(ctx, m, mem)
	if err != nil {
		return "", err
	}
	raw, err := mem.Console(ctx)
	if err != nil {
		return "", err
	}
	out := ""
	for lines := bufio.NewScanner(strings.NewReader(string(raw[min(was.console, len(raw)):]))); lines.Scan(); {
		if strings.Contains(lines.Text(), words) {
			out = strings.TrimSpace(lines.Text())
		}
	}
	if out == "" {
		return "", fmt.Errorf("the kernel of %s has not said %q", m.Name(), words)
	}
	return out, nil
}

// Effective: the kernel said so on its console. Where it panicked the machine is gone from the network; else the process it named is, and the machine is
// as it was booted. The members elsewhere answer.
func (f *outOfMemory) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	ms, err := machinesOf(e, machines)
	if err != nil {
		return nil, err
	}
	var out []plan.Evidence
	for _, m := range ms {
		see := f.ended
		if f.panics {
			see = f.panicked
		}
		seen, err := see(ctx, e, m, machines)
		if err != nil {
			return nil, err
		}
		out = append(out, seen...)
	}
	out, err = others(ctx, e, machines, out)
	if err == nil {
		f.happened()
	}
	return out, err
}

func (f *outOfMemory) panicked(ctx context.Context, e *Env, m cluster.Machine, machines []string) ([]plan.Evidence, error) {
	line, err := f.said(ctx, m, cluster.SaysPanic)
	if err != nil {
		return nil, err
	}
	if _, err := f.said(ctx, m, saysReboot); f.stays && err == nil {
		return nil, fmt.Errorf("the kernel of %s has said %q, and should stand still", m.Name(), saysReboot)
	}
	gone := dialMachine(ctx, e, machines, m.Name())
	if kind := cluster.FailureOf(gone); gone == nil || kind == cluster.Refused || kind == cluster.Reset {
		return nil, errors.Join(fmt.Errorf("%s still answers on the network", m.Name()), gone)
	}
	out := []plan.Evidence{saw("console of "+m.Name(), "%s", line), saw("network", "%s does not answer: %v", m.Name(), gone)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if found, ok := f.found[m.Name()]; ok {
		out = append([]plan.Evidence{found}, out...)
	}
	return out, nil
}

func (f *outOfMemory) ended(ctx context.Context, _ *Env, m cluster.Machine, _ []string) ([]plan.Evidence, error) {
	line, err := f.said(ctx, m, cluster.SaysOOMKilled)
	if err != nil {
		return nil, err
	}
	words := regexp.MustCompile(regexp.QuoteMeta(cluster.SaysOOMKilled) + ` (\d+) \((.*?)\)`).FindStringSubmatch(line)
	if words == nil {
		return nil, fmt.Errorf("the kernel of %s names no process: %s", m.Name(), line)
	}
	name, err := m.ReadFile(ctx, "/proc/"+words[1]+"/comm")
	if err == nil && strings.TrimSpace(string(name)) == words[2] {
		return nil, fmt.Errorf("process %s (%s) of %s is still there", words[1], words[2], m.Name())
	}
	boot, err := f.booted(ctx, m)
	if err != nil {
		return nil, err
	}
	if boot {
		return nil, fmt.Errorf("%s has booted", m.Name())
	}
	return []plan.Evidence{
		saw("console of "+m.Name(), "%s", line),
		saw("processes of "+m.Name(), "number %s (%s) is not among them any more, and the machine has not booted", words[1], words[2]),
	}, nil
}

// booted reports whether the machine has another boot id than at the first look. Whoever undoes the fault of another process cannot tell.
func (f *outOfMemory) booted(ctx context.Context, m cluster.Machine) (bool, error) {
	f.mu.Lock()
	was := f.before[m.Name()]
	f.mu.Unlock()
	now, err := cluster.KernelBootID(ctx, m)
	return now != was.Boot, err
}

// Recovered: a machine that panicked has booted by itself, one that did not has not; the settings are as they were, and all that it served is served.
func (f *outOfMemory) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	ms, err := machinesOf(e, machines)
	if err != nil {
		return nil, err
	}
	var out []plan.Evidence
	for _, m := range ms {
		seen, err := f.asBefore(ctx, m)
		if err != nil {
			return nil, err
		}
		out = append(out, seen...)
	}
	back, err := served(ctx, e, machines)
	return append(out, back...), err
}

func (f *outOfMemory) asBefore(ctx context.Context, m cluster.Machine) ([]plan.Evidence, error) {
	f.mu.Lock()
	was, done, pushed := f.before[m.Name()], f.done, f.pushed[m.Name()]
	f.mu.Unlock()
	now, err := live(ctx, m)
	if err != nil || !done {
		return nil, err
	}
	booted, err := f.booted(ctx, m)
	switch {
	case err != nil:
		return nil, err
	case f.panics && !booted:
		return nil, fmt.Errorf("%s has the boot id from before: it has not panicked, whatever it looked like", m.Name())
	case !f.panics && booted:
		return nil, fmt.Errorf("%s has booted, and its kernel was to end one process", m.Name())
	case pushed && !f.stays:
		return nil, fmt.Errorf("%s did not come back by itself: it had to be switched on", m.Name())
	}
	var told []string
	for file, value := range was.Settings {
		if now[file] != value {
			return nil, fmt.Errorf("%s of %s is %q, and was %q before", file, m.Name(), now[file], value)
		}
		told = append(told, file+" "+value)
	}
	slices.Sort(told)
	out := []plan.Evidence{saw("settings of "+m.Name(), "they are what they were: %s", strings.Join(told, ", "))}
	if f.panics {
		id, err := cluster.KernelBootID(ctx, m)
		if err != nil {
			return nil, err
		}
		who := "nobody switched it on"
		if f.stays {
			who = "has not done so by itself"
		}
		out = append(out, saw("boot id", "%s has booted and %s: %s, before %s", m.Name(), who, id, was.Boot))
	}
	return out, nil
}
