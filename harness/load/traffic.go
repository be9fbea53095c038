package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Traffic is one entry of scripted etcd traffic: one of its kinds, and what is to come of it. All keys of it are below a prefix of its own, so that neither
// probes nor recorded clients meet them.
type Traffic struct {
	Burst      *Burst      `yaml:"burst"`
	Txn        *Txn        `yaml:"txn"`
	Compact    *Compact    `yaml:"compact"`
	Defragment *Defragment `yaml:"defragment"`
	Leases     *Leases     `yaml:"leases"`
	Alarms     *Alarms     `yaml:"alarms"`
	Watch      *Watching   `yaml:"watch"`
	Auth       *Auth       `yaml:"auth"`
	Metric     *Metric     `yaml:"metric"`

	Through string        `yaml:"through"` // the machine whose member is asked; empty: whichever answers
	As      string        `yaml:"as"`      // the user, of those that auth has made; empty: nobody
	Says    string        `yaml:"says"`    // a part of the error that it is to end with; empty: it is to succeed
	Within  time.Duration `yaml:"within"`  // how long it may take; 0: a minute
}

// trafficWithin is how long an entry may take that does not say.
const trafficWithin = time.Minute

// trafficKind is what one kind of entry does.
type trafficKind interface {
	// String is the entry in a plan.
	String() string
	validate() error
	// send carries the entry out and tells what was seen. What is to last goes on in the script, to the end of the run.
	send(ctx context.Context, s *script, w who) (saw string, err error)
}

// kinds are those that the entry has.
func (t Traffic) kinds() (given []trafficKind, names []string) {
	add := func(set bool, name string, k trafficKind) {
		names = append(names, name)
		if set {
			given = append(given, k)
		}
	}
	add(t.Burst != nil, "burst", t.Burst)
	add(t.Txn != nil, "txn", t.Txn)
	add(t.Compact != nil, "compact", t.Compact)
	add(t.Defragment != nil, "defragment", t.Defragment)
	add(t.Leases != nil, "leases", t.Leases)
	add(t.Alarms != nil, "alarms", t.Alarms)
	add(t.Watch != nil, "watch", t.Watch)
	add(t.Auth != nil, "auth", t.Auth)
	add(t.Metric != nil, "metric", t.Metric)
	return given, names
}

// Validate says what is wrong with an entry, whatever the cluster.
func (t Traffic) Validate() error {
	given, names := t.kinds()
	if len(given) != 1 {
		return fmt.Errorf("want one of %s; there are %d", strings.Join(names, ", "), len(given))
	}
	if t.Within < 0 {
		return fmt.Errorf("within is %s; it cannot be negative", t.Within)
	}
	if (t.Defragment != nil || t.Metric != nil) && t.Through == "" {
		return fmt.Errorf("%s: %w", given[0], errNoMember)
	}
	return given[0].validate()
}

// Fits refuses, with a UsageError, an entry that names a machine without a member.
func (t Traffic) Fits(on cluster.Topology) error {
	_, err := t.member(on)
	return err
}

// member is the machine that the entry goes through, empty where it may be any.
func (t Traffic) member(on cluster.Topology) (string, error) {
	if t.Through == "" {
		return "", nil
	}
	if name, ok := on.Find(t.Through); ok && slices.Contains(on.EtcdMachines(), name) {
		return name, nil
	}
	return "", cluster.Usagef("traffic: no member of etcd is on %q; there are %s", t.Through, strings.Join(on.EtcdMachines(), ", "))
}

// String is the entry in a plan.
func (t Traffic) String() string {
	given, _ := t.kinds()
	if len(given) != 1 {
		return "nothing"
	}
	out := given[0].String()
	if t.Through != "" {
		out += ", through " + t.Through
	}
	if t.As != "" {
		out += ", as " + t.As
	}
	if t.Says != "" {
		out += fmt.Sprintf("; must fail, saying: %s", t.Says)
	}
	return out
}

// Sent is an entry of scripted traffic as it went.
type Sent struct {
	Entry    string    `json:"entry"`
	Called   time.Time `json:"called"`
	Returned time.Time `json:"returned"`
	Saw      string    `json:"saw,omitempty"`
	Err      string    `json:"err,omitempty"` // what it ended with, whether that was wanted or not
}

// Send carries one entry of scripted traffic out. What lasts of it goes on until Stop.
func (l *Load) Send(ctx context.Context, t Traffic) (Sent, error) { return l.script.send(ctx, t) }

// Call sends an entry and returns when it has been out for so long; one that is answered before is an error. It goes on until it ends by itself, or with Stop.
func (l *Load) Call(ctx context.Context, t Traffic, out time.Duration) error {
	ended := make(chan error, 1)
	l.script.goOn(ctx, func(ctx context.Context) {
		sent, err := l.script.send(ctx, t)
		ended <- errors.Join(fmt.Errorf("traffic: %s: it was over after %s", t, sent.Returned.Sub(sent.Called).Round(time.Millisecond)), err)
	})
	select {
	case <-time.After(out):
		select { // of two that are ready the outer one chooses either
		case err := <-ended:
			return err
		default:
			return nil
		}
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Traffic is what was sent by the script.
func (l *Load) Traffic() []Sent {
	if l.script == nil {
		return nil
	}
	l.script.mu.Lock()
	defer l.script.mu.Unlock()
	return slices.Clone(l.script.sent)
}

// Leases are those that the script has granted, and what became of them.
func (l *Load) Leases() []Lease {
	if l.script == nil {
		return nil
	}
	return l.script.told()
}

// expected makes of what an entry ended with what there is to say against it.
func (t Traffic) expected(err error) error {
	switch {
	case t.Says == "" && err != nil:
		return fmt.Errorf("traffic: %s: %w", t, err)
	case t.Says != "" && err == nil:
		return fmt.Errorf("traffic: %s: it succeeded", t)
	case t.Says != "" && !strings.Contains(err.Error(), t.Says):
		return fmt.Errorf("traffic: %s: it said something else: %w", t, err)
	}
	return nil
}

// checkKey refuses what is no key of scripted traffic.
func checkKey(what, key string) error {
	if key == "" || strings.ContainsAny(key, " \t\r\n") {
		return fmt.Errorf("%s is %q; a key has no spaces and is not empty", what, key)
	}
	return nil
}
