package fault

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// unsyncedWritesLost cuts a machine's power, and what was written to etcd's data directory in the last moments and not fsynced goes with it.
type unsyncedWritesLost struct {
	machinePowerOff
	delay time.Duration            // by which each fsync takes longer in those moments: what has not waited for its own is found out
	seen  map[string]plan.Evidence // machine -> what its disk had of our two files, which are gone since

	mu   sync.Mutex
	took map[string]plan.Evidence // machine -> how long an fsync took in those moments, where each was to take longer
}

// unsyncedFor is how long before the cut nothing but fsync makes anything durable. A kernel's writeback gets to what is older in its time
// (vm.dirty_writeback_centisecs is 5 s); the recorded clients alone have some dozen writes acknowledged meanwhile.
const unsyncedFor = 2 * time.Second

// Two files of our own, beside etcd's: one is fsynced before the cut and the other is not.
const (
	witnesses  = "/var/lib/drydock/unsynced"
	fsynced    = witnesses + "/fsynced"
	notFsynced = witnesses + "/not-fsynced"
)

func (f *unsyncedWritesLost) Inject(ctx context.Context, e *Env, machines []string) error {
	err := capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, u cluster.Forgetter) error {
		if _, err := cluster.Shell(ctx, m, fmt.Sprintf("mkdir -p %[1]s; : > %[2]s; : > %[3]s", witnesses, fsynced, notFsynced)); err != nil {
			return err
		}
		if err := u.LoseUnsynced(ctx, etcd.DataDir, witnesses); err != nil {
			return err
		}
		if err := f.slow(ctx, m); err != nil {
			return err
		}
		begun := time.Now()
		if _, err := cluster.Shell(ctx, m, fmt.Sprintf("echo fsynced > %[1]s; sync %[1]s; echo written > %[2]s", fsynced, notFsynced)); err != nil {
			return err
		}
		return f.waited(m.Name(), time.Since(begun))
	})
	if err != nil {
		return err
	}
	select {
	case <-time.After(unsyncedFor):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return f.machinePowerOff.Inject(ctx, e, machines)
}

// waited remembers how long an fsync of a machine took, where it was to take longer.
func (f *unsyncedWritesLost) waited(machine string, took time.Duration) error {
	switch {
	case f.delay == 0:
		return nil
	case took < f.delay:
		return fmt.Errorf("an fsync on %s took %s, and was to take %s longer than it does", machine, took, f.delay)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.took == nil {
		f.took = map[string]plan.Evidence{}
	}
	f.took[machine] = saw("disk of "+machine, "an fsync before the cut took %s, where each was to take %s longer", took.Round(time.Millisecond), f.delay)
	return nil
}

// Effective: as of any power cut, and where fsyncs were to take longer one did before it.
func (f *unsyncedWritesLost) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	waited, err := f.slowed(machines)
	if err != nil {
		return nil, err
	}
	off, err := f.machinePowerOff.Effective(ctx, e, machines)
	return append(waited, off...), err
}

// slowed is what was seen of the delay on each of the machines.
func (f *unsyncedWritesLost) slowed(machines []string) (out []plan.Evidence, err error) {
	if f.delay == 0 {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range machines {
		v, there := f.took[m]
		if !there {
			return nil, fmt.Errorf("nobody has seen an fsync on %s take %s longer", m, f.delay)
		}
		out = append(out, v)
	}
	return out, nil
}

// slow has fsyncs of the machine take longer, where they are to.
func (f *unsyncedWritesLost) slow(ctx context.Context, m cluster.Machine) error {
	if f.delay == 0 {
		return nil
	}
	d, err := cluster.As[cluster.SlowDisk](m)
	if err != nil {
		return err
	}
	return d.SlowSync(ctx, f.delay, etcd.DataDir, witnesses)
}

func (f *unsyncedWritesLost) Recover(ctx context.Context, e *Env, machines []string) error {
	kept := capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, u cluster.Forgetter) error {
		return u.KeepUnsynced(ctx)
	})
	healed := capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, d cluster.SlowDisk) error { return d.HealSync(ctx) })
	return errors.Join(kept, healed, f.machinePowerOff.Recover(ctx, e, machines))
}

// Recovered: as after any power cut, and the disk has of our two files what was fsynced; then they are removed. Whoever undoes the fault of another
// process cannot tell whether it came to the cut.
func (f *unsyncedWritesLost) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	out, err := f.machinePowerOff.Recovered(ctx, e, machines)
	if err != nil {
		return out, err
	}
	ms, err := machinesOf(e, machines)
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		if _, done := f.seen[m.Name()]; f.boots != nil && !done {
			if err := f.see(ctx, m); err != nil {
				return nil, err
			}
		}
		if _, err := cluster.Shell(ctx, m, fmt.Sprintf("rm -rf %s; rmdir %s 2>/dev/null || true", witnesses, path.Dir(witnesses))); err != nil {
			return nil, err
		}
		if f.boots != nil {
			out = append(out, f.seen[m.Name()])
		}
	}
	return out, nil
}

// see remembers what a machine's disk has of the two files.
func (f *unsyncedWritesLost) see(ctx context.Context, m cluster.Machine) error {
	kept, err := m.ReadFile(ctx, fsynced)
	if err != nil {
		return err
	}
	lost, err := m.ReadFile(ctx, notFsynced)
	if err != nil {
		return err
	}
	if len(kept) == 0 || len(lost) > 0 {
		return fmt.Errorf("%s has %d bytes of the file that was fsynced before the cut, and %d of the one that was not", m.Name(), len(kept), len(lost))
	}
	if f.seen == nil {
		f.seen = map[string]plan.Evidence{}
	}
	f.seen[m.Name()] = saw("disk of "+m.Name(), "of two files written before the cut the one that was fsynced has its contents and the other none")
	return nil
}
