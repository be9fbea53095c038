package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/remedy"
)

// KillDriver makes a process of its own do the upgrade, and kills it.
type KillDriver struct {
	After  string `yaml:"after"`  // a step's name or a pattern: killed once after each step that matches
	Random int    `yaml:"random"` // killed so many times, each at a moment the seed chooses
}

// kill is one SIGKILL of the process: a while after a step has begun, or as soon as it has ended.
type kill struct {
	number int // in the cell, from 1
	step   string
	ended  bool
	delay  time.Duration
}

func (k kill) String() string {
	if k.ended {
		return "run it until " + k.step + " has ended, then kill -9"
	}
	return fmt.Sprintf("run it until %s after the begin of %s, then kill -9", k.delay, k.step)
}

// killID is the kill's receipt: unique in the journal, which all cells share.
func (c *cellRun) killID(k *kill) string { return c.own(fmt.Sprintf("kill-%d", k.number)) }

// plannedKills are faults as any other: one that leaves no receipt was not tested.
func (c *cellRun) plannedKills() []PlannedFault {
	var out []PlannedFault
	for _, it := range c.outline.items {
		for i := range it.kills {
			k := &it.kills[i]
			out = append(out, PlannedFault{ID: c.killID(k), Step: c.killID(k), Name: driverKill + ": " + k.String()})
		}
	}
	return out
}

// driverKill is the fault's name in receipts.
const driverKill = "driverKill"

// longest is how long after a step's begin a random kill may come: kubeadm on a control plane takes a minute and more, the rest moments. A step that
// is over by then is followed by the next.
func longest(step string) time.Duration {
	switch {
	case strings.Contains(step, "control-plane/") && strings.HasSuffix(step, "/kubeadm"):
		return 80 * time.Second
	case strings.HasSuffix(step, "/deploy"), strings.HasSuffix(step, "/replace"): // a machine boots
		return 20 * time.Second
	case strings.HasSuffix(step, "/gate"):
		return 4 * time.Second
	default:
		return 500 * time.Millisecond
	}
}

// chooseKills finds the steps.
func chooseKills(d KillDriver, steps []*plan.Step, rng *rand.Rand) ([]kill, error) {
	var names, matched []string
	(&plan.Plan{Steps: steps}).Walk(func(s *plan.Step) {
		if s.Run == nil || s.Rollback {
			return
		}
		names = append(names, s.Name)
		if ok, err := path.Match(d.After, s.Name); err == nil && ok {
			matched = append(matched, s.Name)
		}
	})
	if d.After != "" && len(matched) == 0 {
		return nil, cluster.Usagef("killDriver: after: %q matches no step; known: %s", d.After, strings.Join(names, ", "))
	}
	var out []kill
	for _, n := range matched {
		out = append(out, kill{step: n, ended: true})
	}
	order := names
	names = names[:max(0, len(names)-2)] // after verify and autoscaler/resume there is nothing left to be killed in
	for range d.Random {
		step := names[rng.IntN(len(names))]
		out = append(out, kill{step: step, delay: time.Duration(rng.Int64N(int64(longest(step)))).Round(10 * time.Millisecond)})
	}
	slices.SortStableFunc(out, func(a, b kill) int { return a.place(order) - b.place(order) }) // each run goes further than the one before
	return out, nil
}

// place is where a kill comes among others: in a step before at its end.
func (k kill) place(order []string) int {
	at := 2 * slices.Index(order, k.step)
	if k.ended {
		at++
	}
	return at
}

// driverDir is where the process keeps its journal and its snapshots.
func (c *cellRun) driverDir(it *item) string {
	dir := filepath.Join(c.options.Out, plan.DriverDir, c.outline.cell.Label)
	if it.remedy != nil {
		dir = filepath.Join(dir, fmt.Sprintf("%s-%d", it.remedy.Spec.Runbook, it.number))
	}
	return dir
}

// driver is the command that does the step, and its settings.
func (it *item) driver() (args []string, spec any) {
	if it.remedy != nil {
		return []string{"remedy", it.remedy.Spec.Runbook}, it.remedy.Spec
	}
	return []string{"upgrade"}, it.upgrade.Spec
}

// drive runs the upgrade or the remedy in a process of its own, until the kill's moment or to its end.
func (c *cellRun) drive(ctx context.Context, it *item, k *kill) error {
	args, settings := it.driver()
	spec, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("driver: %w", err)
	}
	dir := c.driverDir(it)
	specFile := filepath.Join(dir, "asked.json") // spec.json is the process's own
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(specFile, spec, 0o600)); err != nil {
		return fmt.Errorf("driver: %w", err)
	}
	cmd := c.options.Drydock(ctx, append(args, "--name", c.topology().Name, "--spec", specFile, "--of-run", "--out", dir)...)
	cmd.Env = append(cmd.Environ(), c.twinEnv()...)
	out, err := os.OpenFile(filepath.Join(dir, "output.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("driver: %w", err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("driver: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if k == nil {
		return driverEnded(dir, <-ended)
	}
	return c.killDriver(ctx, dir, cmd, ended, k, begun)
}

func driverEnded(dir string, err error) error {
	if err == nil {
		return nil
	}
	raw, _ := os.ReadFile(filepath.Join(dir, "output.log"))
	const tail = 1500
	return fmt.Errorf("driver: %w:\n%s", err, raw[max(0, len(raw)-tail):])
}

// driverWithin is how long one run of the process may take to come to the kill's moment.
const driverWithin = 30 * time.Minute

// killDriver waits for the moment and kills. The receipt says what was seen: the last step in the process's journal, and its end by the signal.
func (c *cellRun) killDriver(ctx context.Context, dir string, cmd *exec.Cmd, ended chan error, k *kill, begun time.Time) error {
	receipt := plan.Receipt{
		ID: c.killID(k), Fault: driverKill, Target: k.step, Machines: []string{}, State: plan.NotInjected, Evidence: []plan.Evidence{}, Armed: begun, Error: "the process ended by itself as it was to be killed",
	}
	finished := false
	err := cluster.Await(ctx, k.String(), cluster.Wait{For: driverWithin, Every: 50 * time.Millisecond}, func(context.Context) error {
		select {
		case err := <-ended:
			finished = true
			ended <- err
			return nil
		default:
			return k.reached(dir, begun)
		}
	})
	if err == nil && !finished && k.delay > 0 {
		select {
		case <-time.After(k.delay):
		case <-ctx.Done():
		case err := <-ended:
			finished = true
			ended <- err
		}
	}
	if finished { // nothing was left to kill
		endErr := <-ended
		receipt.Error = "the process had ended before its moment came"
		c.kills = append(c.kills, receipt)
		return errors.Join(driverEnded(dir, endErr), c.journal.Write("receipt-driver", receipt))
	}
	killErr := cmd.Process.Kill()
	if errors.Is(killErr, os.ErrProcessDone) { // which the receipt tells
		killErr = nil
	}
	endErr := <-ended
	var exit *exec.ExitError
	switch {
	case err != nil: // it ends as well, but not where it was to
		receipt.Error = err.Error()
	case errors.As(endErr, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			receipt.State, receipt.EffectiveAt, receipt.ClearedAt = plan.Confirmed, time.Now(), time.Now()
			receipt.Error = ""
			receipt.Evidence = append(receipt.Evidence, plan.Evidence{Time: time.Now(), Observer: "wait", Saw: fmt.Sprintf("process %d ended by SIGKILL, the last entry of its journal is %s", cmd.Process.Pid, lastStep(dir))})
		}
	}
	c.kills = append(c.kills, receipt)
	return errors.Join(err, killErr, c.journal.Write("receipt-driver", receipt))
}

// driverEntry is what the process's journal says of a step: that it began, or how it ended.
type driverEntry struct {
	plan.Entry
	step plan.StepDone
}

func driverEntries(dir string) ([]driverEntry, error) {
	entries, _, err := plan.ReadJournal(dir) // its last line may be being written
	var out []driverEntry
	for _, e := range entries {
		var d plan.StepDone
		if (e.Kind == "step" || e.Kind == "step-started") && json.Unmarshal(e.Data, &d) == nil {
			out = append(out, driverEntry{e, d})
		}
	}
	return out, err
}

// reached looks into the process's journal for the step, in this run of it.
func (k *kill) reached(dir string, since time.Time) error {
	entries, err := driverEntries(dir)
	if err != nil {
		return err
	}
	want := "step-started"
	if k.ended {
		want = "step"
	}
	if slices.ContainsFunc(entries, func(e driverEntry) bool { return e.Kind == want && e.Time.After(since) && e.step.Name == k.step }) {
		return nil
	}
	return fmt.Errorf("last: %s", lastStep(dir))
}

func lastStep(dir string) string {
	entries, err := driverEntries(dir)
	switch {
	case err != nil:
		return err.Error()
	case len(entries) == 0:
		return "empty"
	}
	last := entries[len(entries)-1]
	return last.Kind + " " + last.step.Name
}

// driverNotes reads what the process's runbook told.
func driverNotes(dir string) (out []health.Note) {
	entries, _, _ := plan.ReadJournal(dir) // what cannot be read tells nothing
	for _, e := range entries {
		var n health.Note
		if e.Kind == remedy.Noted && json.Unmarshal(e.Data, &n) == nil {
			out = append(out, n)
		}
	}
	return out
}

// killed is the status of a step whose process was killed in it.
const killed = "killed"

// driverSteps reads when the process's steps began, how and when they ended; one that was killed ends when the next begins, or now.
func driverSteps(dir string) []plan.StepDone {
	entries, err := driverEntries(dir)
	if err != nil {
		return nil
	}
	var out []plan.StepDone
	for i, e := range entries {
		if e.Kind != "step-started" {
			continue
		}
		later, end := entries[i+1:], time.Now()
		if len(later) > 0 {
			end = later[0].Time
		}
		e.step.Status = killed
		own := func(o driverEntry) bool { return o.step.ID == e.step.ID }
		if at := slices.IndexFunc(later, own); at >= 0 && later[at].Kind == "step" { // steps that run at the same time end in any order
			e.step.Status, e.step.Late, end = later[at].step.Status, later[at].step.Late, later[at].Time
		}
		e.step.DurationSeconds = end.Sub(e.step.Started).Seconds()
		out = append(out, e.step)
	}
	return out
}
