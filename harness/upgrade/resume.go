package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade/policy"
	"drydock.dev/drydock/harness/upgrade/preflight"
)

// Observed is the version an upgrade of the cluster starts from, as it is seen: the oldest of what runs, or, where an upgrade was begun
// and not finished, what its machines have saved. dir is the Dir of the upgrade.
func Observed(ctx context.Context, s Spec, t *observe.Target, o *observe.Observer, dir string) (from string, err error) {
	unfinished, err := (&Upgrade{Spec: s, Target: t, Dir: dir}).unfinished(ctx)
	if err != nil {
		return "", err
	}
	err = cluster.Await(ctx, "learn the cluster's version", cluster.Wait{For: preflight.ReadFor}, func(ctx context.Context) error {
		from, err = oldest(s.upgrades(o.Observe(ctx)), unfinished)
		return err
	})
	return from, err
}

// upgrades are the components of an observation that the upgrade brings to another version: all of Kubernetes, or the members of etcd.
func (s Spec) upgrades(o observe.Observation) (out []observe.Component) {
	if s.Strategy != Etcd {
		return o.Components
	}
	for _, m := range o.Members {
		c := observe.Component{Name: etcd.Program, Machine: m.Machine, Error: m.Error, Failure: m.Failure}
		if m.Version != "" {
			c.Version = "v" + m.Version
		}
		out = append(out, c)
	}
	return out
}

// oldest needs everybody's word: the one who is not heard may be the oldest. A machine whose upgrade is not finished has saved what it was, and
// what runs on it may be down.
func oldest(components []observe.Component, unfinished map[string]string) (string, error) {
	var seen, silent []string
	for _, c := range components {
		switch {
		case c.Version != "":
			seen = append(seen, c.Version)
		case unfinished[c.Machine] == "":
			silent = append(silent, fmt.Sprintf("%s (%s)", c, c.Error))
		}
	}
	for _, v := range unfinished {
		seen = append(seen, strings.Fields(v)...)
	}
	if len(silent) > 0 {
		return "", fmt.Errorf("no word of its version from %s", strings.Join(silent, ", "))
	}
	if len(seen) == 0 {
		return "", errors.New("no component told its version")
	}
	least, err := policy.Oldest(seen)
	if err != nil {
		return "", fmt.Errorf("what components tell: %w", err)
	}
	return least, nil
}

// Ended is the journal's word that an upgrade has ended well.
const Ended = "upgraded"

// Begun is what is kept of an upgrade from before anything is touched until it has ended well.
type Begun struct {
	Spec
	Before string // the version from which its last hop goes: when every machine is at the new one, none says any more which that was
}

// Begun is this upgrade's.
func (u *Upgrade) Begun() Begun {
	return Begun{Spec: u.Spec, Before: u.before(u.Path.Hops[len(u.Path.Hops)-1])}
}

// Resumed says what is left of what is asked for, of a cluster that is seen at a version, where dir has an upgrade to the same version that has not ended
// well: the versions in between that it has reached are behind it, and of one whose machines are all at the new version the end is left, for which it comes
// from where it came from. Of anything else that is asked for nothing has been done. Silent is why it is not seen at any: of an upgrade in its last hop it
// is known all the same, and preflight says whether who is silent stands against it.
func Resumed(dir string, s Spec, at string, silent error) (left Spec, from string, err error) {
	if !plan.Unfinished(dir, Ended) {
		return s, at, silent
	}
	var was Begun
	if err := plan.ReadSpec(dir, &was); err != nil {
		return s, "", errors.Join(silent, err)
	}
	switch lastHop := len(was.Via) == 0 && was.Before != ""; {
	case was.To != s.To, silent != nil && !lastHop:
		return s, at, silent
	case silent != nil:
		s.Via = nil
		return s, was.Before, nil //nolint:nilerr // preflight says whether who is silent stands against it
	}
	s.Via = s.Via[slices.Index(s.Via, at)+1:]
	if at == s.To && was.Before != "" {
		s.Via, at = nil, was.Before
	}
	return s, at, nil
}

// ReadSpec reads what was asked for, of a directory or of a file.
func ReadSpec(path string) (s Spec, err error) {
	err = plan.ReadSpec(path, &s)
	if errors.Is(err, fs.ErrNotExist) {
		err = cluster.Usagef("there is no upgrade to resume: %w", err)
	}
	return s, err
}
