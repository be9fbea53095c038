package staging

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"
	"sigs.k8s.io/e2e-framework/klient/wait"

	"drydock.dev/drydock/harness/cluster"
)

// Of the maintenance lock. It is renewed often and lasts long: the API server may be what is broken, and a process that was killed must not keep
// everybody out for ever.
const (
	leaseName      = "drydock"
	leaseNamespace = "kube-system"
	leaseFor       = 90 * time.Second
	leaseEvery     = 10 * time.Second
	leaseTry       = 5 * time.Second
)

// claim is the cluster held by this process.
type claim struct {
	lost  atomic.Bool // somebody else holds it now
	stop  context.CancelFunc
	ended chan struct{}
}

// keeper is where the lock is: take takes or renews it for the holder, drop lets it go, and holders says who has it, until when. What has run out, or
// whose holder is abandoned, is anybody's.
type keeper interface {
	holders(ctx context.Context) (map[string]time.Time, error)
	take(ctx context.Context, holder string) error
	drop(ctx context.Context, holder string) error
}

func (c *Cluster) keeper() (keeper, error) {
	if c.kube == nil {
		return machineLock{c}, nil
	}
	r, err := resources.New(c.kube.config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return leaseLock{r}, nil
}

// whoami names this process to people, and one of its attachments to another.
func whoami() string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return fmt.Sprintf("%s@%s/drydock-%d-%s", name, host, os.Getpid(), rand.String(4))
}

// Claim takes the maintenance lock: the Lease drydock in kube-system or, of etcd alone, a file on every machine.
func (c *Cluster) Claim(ctx context.Context) error {
	if err := c.named(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claim != nil {
		return nil
	}
	k, err := c.keeper()
	if err != nil {
		return err
	}
	if err := k.take(ctx, c.holder); err != nil {
		return err
	}
	renew, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.claim = &claim{stop: stop, ended: make(chan struct{})}
	go c.claim.renew(renew, k, c.holder)
	return nil
}

func (cl *claim) renew(ctx context.Context, k keeper, holder string) {
	defer close(cl.ended)
	tick := time.NewTicker(leaseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		try, cancel := context.WithTimeout(ctx, leaseTry)
		err := k.take(try, holder)
		cancel()
		var usage *cluster.UsageError
		if errors.As(err, &usage) { // what cannot be renewed because nobody answers is tried again
			cl.lost.Store(true)
		}
	}
}

// releaseWithin is how long the API server may take to be back for the lock to be given up; after that it runs out by itself.
const releaseWithin = 30 * time.Second

// Release lets it go.
func (c *Cluster) Release(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claim == nil {
		return nil
	}
	c.claim.stop()
	<-c.claim.ended
	c.claim = nil
	k, err := c.keeper()
	if err != nil {
		return err
	}
	var last error
	err = wait.For(func(ctx context.Context) (bool, error) {
		last = k.drop(ctx, c.holder)
		return last == nil, nil
	}, wait.WithContext(ctx), wait.WithTimeout(releaseWithin), wait.WithInterval(time.Second), wait.WithImmediate())
	if err != nil {
		return fmt.Errorf("cluster %q: the maintenance lock is not given up and runs out in %s: %w; last seen: %w", c.topology.Name, leaseFor, err, last)
	}
	return nil
}

// Free says who else has claimed the cluster.
func (c *Cluster) Free(ctx context.Context) error {
	k, err := c.keeper()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	held, err := k.holders(ctx)
	for who, until := range held {
		if who != c.holder && until.After(time.Now()) && !abandoned(who) {
			return heldBy(who, until)
		}
	}
	return err
}

// sweep removes the lock of a process that has ended without giving it up, and says whose it was.
func (c *Cluster) sweep(ctx context.Context) (removed []string, err error) {
	k, err := c.keeper()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, releaseWithin)
	defer cancel()
	held, err := k.holders(ctx)
	for who, until := range held {
		if until.After(time.Now()) && !abandoned(who) {
			continue
		}
		if dropErr := k.drop(ctx, who); dropErr != nil {
			err = errors.Join(err, dropErr)
			continue
		}
		removed = append(removed, who)
	}
	return removed, err
}

// abandoned reports whether the holder was a process of this host that is no more. Of other hosts' nothing is known.
func abandoned(holder string) bool {
	host, err := os.Hostname()
	_, rest, ok := strings.Cut(holder, "@")
	pid, mine := strings.CutPrefix(rest, host+"/drydock-")
	pid, _, _ = strings.Cut(pid, "-")
	n, parseErr := strconv.Atoi(pid)
	return err == nil && ok && mine && parseErr == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH)
}

// mine refuses to break what this process does not hold.
func (c *Cluster) mine() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.claim == nil:
		return cluster.Usagef("cluster %q was not claimed: nothing is broken on it", c.topology.Name)
	case c.claim.lost.Load():
		return cluster.Usagef("cluster %q: the maintenance lock was lost to somebody else: nothing more is broken on it", c.topology.Name)
	default:
		return nil
	}
}

func heldBy(holder string, until time.Time) error {
	return cluster.Usagef("the cluster is being worked on by %s (until %s, if that does not go on): two at once would judge each other's faults", holder, until.Format(time.TimeOnly))
}

// leaseLock is the Lease.
type leaseLock struct{ r *resources.Resources }

// read gives the Lease as it is, refusing one that somebody else holds.
func (l leaseLock) read(ctx context.Context, holder string) (lease coordinationv1.Lease, fresh bool, err error) {
	err = l.r.Get(ctx, leaseName, leaseNamespace, &lease)
	if apierrors.IsNotFound(err) {
		return lease, true, nil
	}
	if err != nil {
		return lease, false, fmt.Errorf("maintenance lease: %w", err)
	}
	if s := lease.Spec; ptr.Deref(s.HolderIdentity, "") != "" && *s.HolderIdentity != holder && s.RenewTime != nil {
		if until := runsOut(&lease); until.After(time.Now()) && !abandoned(*s.HolderIdentity) {
			return lease, false, heldBy(*s.HolderIdentity, until)
		}
	}
	return lease, false, nil
}

func runsOut(l *coordinationv1.Lease) time.Time {
	if l.Spec.RenewTime == nil {
		return time.Time{}
	}
	return l.Spec.RenewTime.Add(time.Duration(ptr.Deref(l.Spec.LeaseDurationSeconds, 0)) * time.Second)
}

func (l leaseLock) holders(ctx context.Context) (map[string]time.Time, error) {
	var lease coordinationv1.Lease
	err := l.r.Get(ctx, leaseName, leaseNamespace, &lease)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("maintenance lease: %w", err)
	}
	return map[string]time.Time{ptr.Deref(lease.Spec.HolderIdentity, ""): runsOut(&lease)}, nil
}

func (l leaseLock) take(ctx context.Context, holder string) error {
	lease, fresh, err := l.read(ctx, holder)
	if err != nil {
		return err
	}
	now := metav1.NowMicro()
	if ptr.Deref(lease.Spec.HolderIdentity, "") != holder {
		lease.Spec.AcquireTime = &now
	}
	lease.Name, lease.Namespace = leaseName, leaseNamespace
	lease.Spec.HolderIdentity, lease.Spec.RenewTime, lease.Spec.LeaseDurationSeconds = &holder, &now, ptr.To(int32(leaseFor.Seconds()))
	if fresh {
		err = l.r.Create(ctx, &lease)
	} else {
		err = l.r.Update(ctx, &lease) // of the version that was read: of two that come at once one is refused
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return heldBy("somebody who came at the same moment", now.Add(leaseFor))
	}
	if err != nil {
		return fmt.Errorf("maintenance lease: %w", err)
	}
	return nil
}

func (l leaseLock) drop(ctx context.Context, holder string) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTry)
	defer cancel()
	var lease coordinationv1.Lease
	err := l.r.Get(ctx, leaseName, leaseNamespace, &lease)
	if apierrors.IsNotFound(err) || (err == nil && ptr.Deref(lease.Spec.HolderIdentity, "") != holder) {
		return nil
	}
	if err != nil {
		return err
	}
	if err = l.r.Delete(ctx, &lease); apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// machineLock is a file on every machine that answers.
type machineLock struct{ c *Cluster }

const lockFile = runDir + "/maintenance"

func (l machineLock) holders(ctx context.Context) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	for _, m := range l.c.machines {
		// One that does not answer says nothing; Claim wants most of them.
		said, _ := m.script(ctx, `f=`+lockFile+`; [ ! -s $f ] || cat $f`)
		if who, until, is := holding(said); is && until.After(out[who]) {
			out[who] = until
		}
	}
	return out, nil
}

// holding reads a machine's lock: who has it, until when.
func holding(said string) (who string, until time.Time, is bool) {
	at, who, is := strings.Cut(strings.TrimSpace(said), " ")
	seconds, err := strconv.ParseInt(at, 10, 64)
	return who, time.Unix(seconds, 0), is && err == nil
}

func (l machineLock) take(ctx context.Context, holder string) error {
	const script = `mkdir -p -m 700 ` + runDir + `; now=$(date +%s); f=` + lockFile + `
i=0; until mkdir $f.guard 2>/dev/null; do i=$((i+1)); [ $i -lt 50 ] || rmdir $f.guard; sleep 0.1; done; trap 'rmdir $f.guard' EXIT
if [ -s $f ]; then read -r until who <$f; if [ "$who" != "$1" ] && [ "$who" != "$3" ] && [ "$until" -gt "$now" ]; then echo "$until $who"; exit 0; fi; fi
echo "$((now+$2)) $1" >$f.new; mv $f.new $f`
	taken := 0
	var errs []error
	for _, m := range l.c.machines {
		out, err := m.script(ctx, script, holder, strconv.Itoa(int(leaseFor.Seconds())), "")
		if who, _, held := holding(out); err == nil && held && abandoned(who) {
			out, err = m.script(ctx, script, holder, strconv.Itoa(int(leaseFor.Seconds())), who)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if who, until, held := holding(out); held {
			held := heldBy(who, until)
			if err := l.drop(ctx, holder); err != nil {
				return errors.Join(held, err)
			}
			return held
		}
		taken++
	}
	if taken < cluster.Quorum(len(l.c.machines)) { // two cannot both have more than half
		return errors.Join(append(errs, fmt.Errorf("the maintenance lock: %d of %d machines answer", taken, len(l.c.machines)))...)
	}
	return nil
}

func (l machineLock) drop(ctx context.Context, holder string) error {
	var errs []error
	for _, m := range l.c.machines {
		if _, err := m.script(ctx, `f=`+lockFile+`; if [ -s $f ]; then read -r until who <$f; if [ "$who" = "$1" ]; then rm -f $f; fi; fi`, holder); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
