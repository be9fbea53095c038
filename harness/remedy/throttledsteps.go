package remedy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/remedy/quota"
)

// refilledFile says that this remedy's wait has ended well.
func (t throttled) refilledFile() string {
	return filepath.Join(t.Dir, t.book.Name, "refilled-"+t.stamp()+".json")
}

// unlessRefilled skips what comes before the wait once that has ended: some control planes may have been started again by then.
func (t throttled) unlessRefilled(act func(ctx context.Context, machine string) error) func(ctx context.Context, machine string) error {
	return func(ctx context.Context, machine string) error {
		switch _, err := os.Stat(t.refilledFile()); {
		case err == nil:
			return fmt.Errorf("%w: the budgets had refilled before the interrupt", plan.ErrSkip)
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("what was kept of the wait: %w", err)
		}
		return act(ctx, machine)
	}
}

// reach looks at a control plane, and waits for one that is away for the moment.
func (t throttled) reach(ctx context.Context, machine string) (p controlPlane, err error) {
	err = cluster.Await(ctx, machine+" to be worked on", cluster.Wait{For: t.Spec.Timeout, Every: time.Second}, func(ctx context.Context) error {
		p, err = t.look(ctx, machine)
		return err
	})
	return p, err
}

// stopKubelet stops it when etcd can spare a member, or waits for that: another machine may be away just now.
func (t throttled) stopKubelet(ctx context.Context, machine string) error {
	p, err := t.reach(ctx, machine)
	if err != nil {
		return err
	}
	return t.silence(ctx, p)
}

func (t throttled) silence(ctx context.Context, p controlPlane) error {
	if runs, err := kubeletRuns(ctx, p.machine); err != nil || !runs {
		return cmpErr(err, "%w: it is stopped", plan.ErrSkip)
	}
	err := cluster.Await(ctx, "etcd to be able to spare a member", cluster.Wait{For: t.Spec.Timeout, Every: time.Second}, func(ctx context.Context) error {
		if f := t.projectQuorum(ctx); f.Blocks() {
			return errors.New(f.What)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := cluster.Shell(ctx, p.machine, "systemctl stop kubelet"); err != nil {
		return err
	}
	return cluster.Await(ctx, "the kubelet on "+p.machine.Name()+" stopped", cluster.Wait{For: stopsWithin}, func(ctx context.Context) error {
		if runs, err := kubeletRuns(ctx, p.machine); err != nil || runs {
			return cmpErr(err, "it runs")
		}
		return nil
	})
}

// cmpErr is the error, or else a new one.
func cmpErr(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, args...)
}

// stopsWithin is how long a process may take to end.
const stopsWithin = 30 * time.Second

func (t throttled) stopComponents(ctx context.Context, machine string) error {
	p, err := t.reach(ctx, machine)
	if err != nil {
		return err
	}
	if err := t.silence(ctx, p); err != nil && !errors.Is(err, plan.ErrSkip) { // it may have booted since
		return err
	}
	ended, err := t.end(ctx, p)
	if err != nil {
		return err
	}
	if len(ended) == 0 {
		return fmt.Errorf("%w: none of them runs", plan.ErrSkip)
	}
	t.note(machine, "ended with the kubelet stopped: %s", strings.Join(ended, ", "))
	return nil
}

// end ends what calls the cloud, and who would put addons back.
func (t throttled) end(ctx context.Context, p controlPlane) (ended []string, err error) {
	k, err := cluster.As[cluster.Killer](p.machine)
	if err != nil {
		return nil, err
	}
	programs := slices.Clone(p.addonManagers)
	for _, c := range p.components {
		programs = append(programs, c.Program)
	}
	slices.Sort(programs)
	for _, program := range slices.Compact(programs) {
		n, err := k.Kill(ctx, program)
		if err != nil {
			return ended, err
		}
		if n > 0 {
			ended = append(ended, program)
		}
	}
	return ended, nil
}

// edit changes the files of a machine, each once it is kept as it was.
func (t throttled) edit(ctx context.Context, machine string) error {
	p, err := t.reach(ctx, machine)
	if err != nil {
		return err
	}
	n := 0
	for _, f := range slices.Concat(p.manifests, p.addons) {
		edited, edits, err := editImages(f.raw, t.Spec.Images)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", machine, f.path, err)
		}
		if len(edits) == 0 {
			continue
		}
		const keep = `kept="$2"; mkdir -p -- "${kept%/*}"; if [ ! -e "$kept" ]; then cp -p -- "$1" "$kept.new"; mv -f -- "$kept.new" "$kept"; fi; stat -c %a -- "$1"`
		kept := path.Join(keptDir, t.stamp(), strings.TrimPrefix(f.path, "/etc/kubernetes/"))
		out, err := p.machine.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-ec", keep, "sh", f.path, kept}})
		if err != nil {
			return err
		}
		var mode fs.FileMode
		if _, err := fmt.Sscanf(out.Stdout, "%o", &mode); err != nil {
			return fmt.Errorf("%s: mode of %s: %w", machine, f.path, err)
		}
		if err := p.machine.WriteFile(ctx, f.path, edited, mode); err != nil {
			return err
		}
		t.note(machine, "%s", diff(f.path, f.raw, edits))
		n++
	}
	if n == 0 {
		return fmt.Errorf("%w: its files have these versions", plan.ErrSkip)
	}
	return nil
}

// awaitBudget waits with everything stopped, and keeps it so.
func (t throttled) awaitBudget(ctx context.Context) error {
	if t.Hasty {
		return fmt.Errorf("%w: left out, as it was asked for", plan.ErrSkip)
	}
	return t.unlessRefilled(func(ctx context.Context, _ string) error { return t.refill(ctx) })(ctx, "")
}

func (t throttled) refill(ctx context.Context) error {
	var planes []controlPlane
	for _, name := range t.Topology.ControlPlaneMachines() {
		if p, err := t.look(ctx, name); err == nil { // one that is away calls nobody; which it is any other tells as well
			planes = append(planes, p)
		}
	}
	ask, why := t.asker(ctx, planes)
	if ask == nil {
		t.note("", "the budgets cannot be read, and %s are waited out: %s", t.Spec.Budget.Unread, why)
	}
	var last quota.Reading
	told := func(r quota.Reading) { last = r; t.note("", "the cloud says: %s", r) }
	if err := t.Spec.Budget.Refilled(ctx, ask, t.keepStopped, told); err != nil {
		return fmt.Errorf("%w (all is stopped as it was; going on waits anew)", err)
	}
	if err := plan.WriteFile(t.refilledFile(), last); err != nil {
		return fmt.Errorf("what is kept of the wait: %w", err)
	}
	return nil
}

// keepStopped stops again what has come back: a machine that boots starts its kubelet. That has to bring up etcd and the API server first; until then what
// calls the cloud is ended as often as it is started. A machine that is away is left to the next look.
func (t throttled) keepStopped(ctx context.Context) error {
	for _, name := range t.Topology.ControlPlaneMachines() {
		p, err := t.look(ctx, name)
		if err != nil {
			continue
		}
		runs, err := kubeletRuns(ctx, p.machine)
		if err != nil {
			continue
		}
		if runs && !t.projectQuorum(ctx).Blocks() {
			if err := t.silence(ctx, p); err == nil {
				t.note(name, "the kubelet had come back, and is stopped again")
			}
		}
		if ended, err := t.end(ctx, p); err == nil && len(ended) > 0 {
			t.note(name, "had come back, and is ended again: %s", strings.Join(ended, ", "))
		}
	}
	return nil
}

// start starts the kubelet with the changed files: a machine that was away while they were changed has them changed now.
func (t throttled) start(ctx context.Context, machine string) error {
	if err := t.edit(ctx, machine); err != nil && !errors.Is(err, plan.ErrSkip) {
		return err
	}
	p, err := t.reach(ctx, machine)
	if err != nil {
		return err
	}
	if runs, err := kubeletRuns(ctx, p.machine); err != nil || runs {
		return cmpErr(err, "%w: it runs", plan.ErrSkip)
	}
	_, err = cluster.Shell(ctx, p.machine, "systemctl start kubelet")
	return err
}

// verify waits until each component runs at its version and says so itself, twice: by the metrics of its process, and in its log since that began.
func (t throttled) verify(ctx context.Context, machine string) error {
	p, err := t.reach(ctx, machine)
	if err != nil {
		return err
	}
	if err := t.missing(p); err != nil {
		return err
	}
	for _, c := range p.components {
		var by, said string
		err := cluster.Await(ctx, fmt.Sprintf("%s on %s at %s", c.Name, machine, t.Spec.Images[imageName(c.Image)]), cluster.Wait{For: t.Spec.Timeout, Every: time.Second}, func(ctx context.Context) error {
			by, said, err = t.runningVersion(ctx, p.machine, c)
			return err
		})
		if err != nil {
			return err
		}
		t.note(machine, "%s runs %s: its metrics say %s, its log: %s", c.Name, t.Spec.Images[imageName(c.Image)], by, said)
	}
	return nil
}

// missing says what called the cloud from a control plane when that was diagnosed and is not among its manifests any more: of that nobody could be asked.
func (t throttled) missing(p controlPlane) error {
	now := callsOf([]controlPlane{p})[p.machine.Name()]
	gone := slices.DeleteFunc(slices.Clone(t.found.Calls[p.machine.Name()]), func(name string) bool { return slices.Contains(now, name) })
	if len(gone) == 0 {
		return nil
	}
	return fmt.Errorf("%s has no %s among %s, which it had at %s: put the manifest back (as it was: %s), and go on", p.machine.Name(), strings.Join(gone, ", "), manifestFiles,
		t.found.At.Format(time.DateTime), path.Join(keptDir, t.stamp()))
}

// runningVersion is nil where metrics and log have the version that the image is to have.
func (t throttled) runningVersion(ctx context.Context, m cluster.Machine, c cloudComponent) (by, said string, err error) {
	want := t.Spec.Images[imageName(c.Image)]
	ctx, cancel := context.WithTimeout(ctx, looked)
	defer cancel()
	now, err := observe.AskComponent(ctx, t.Target.Config, m, c.Name, c.Port)
	if err != nil {
		return "", "", err
	}
	if !sameVersion(now.Version, want) {
		return "", "", fmt.Errorf("%s, that runs since %s, says that it is %s, and not %s", now, now.Started.Format(time.TimeOnly), now.Version, want)
	}
	lines, at, err := observe.LogLines(ctx, t.Target.Cluster, m.Name(), c.Name, "[Vv]ersion")
	if err != nil {
		return "", "", err
	}
	last := "nothing"
	for _, l := range slices.Backward(lines) {
		v := versions().FindString(l)
		if when := observe.LineTime(l, at); v == "" || when.Before(now.Started.Add(-time.Second)) { // the start is told in ticks
			continue
		}
		if sameVersion(v, want) {
			return now.Version, strings.TrimSpace(l), nil
		}
		last = strings.TrimSpace(l)
	}
	return "", "", fmt.Errorf("the log of %s, that runs since %s, says of a version: %s; and not %s", now, now.Started.Format(time.TimeOnly), last, want)
}

func versions() *regexp.Regexp { return regexp.MustCompile(`v?\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?`) }

func sameVersion(a, b string) bool { return strings.TrimPrefix(a, "v") == strings.TrimPrefix(b, "v") }

// watchBudget calls as the components do, rarely, and hears what they tell.
func (t throttled) watchBudget(ctx context.Context) error {
	var planes []controlPlane
	for _, name := range t.Topology.ControlPlaneMachines() {
		p, err := t.reach(ctx, name)
		if err != nil {
			return err
		}
		planes = append(planes, p)
	}
	begun := time.Now()
	ask, why := t.asker(ctx, planes)
	err := t.Spec.Budget.Watch(ctx, ask, func(r quota.Reading) { t.note("", "the cloud says: %s", r) })
	tells, unheard := t.throttledLines(ctx, planes, begun)
	if errors.Is(err, quota.ErrBlind) {
		t.note("", "the budgets cannot be read: %s", cmpErr(err, "%s", why))
	}
	return watched(err, tells, unheard, slices.ContainsFunc(planes, func(p controlPlane) bool { return len(p.components) > 0 }))
}

// watched judges a window by both who can tell of it: the budgets, and what the components say themselves. One that is silent is made up for by the other.
func watched(err error, tells, unheard []string, components bool) error {
	if !components {
		unheard = append(unheard, "no component of a control plane calls a cloud any more")
	}
	switch {
	case len(tells) > 0:
		if errors.Is(err, quota.ErrBlind) {
			err = nil
		}
		return errors.Join(err, fmt.Errorf("%w: %s", quota.ErrThrottled, strings.Join(tells, "; ")))
	case errors.Is(err, quota.ErrBlind) && len(unheard) > 0:
		return fmt.Errorf("whether calls pass is not known: %w; %s (see why the logs do not tell, and go on: it is watched anew)", err, strings.Join(unheard, "; "))
	case errors.Is(err, quota.ErrBlind):
		return nil
	}
	return err
}
