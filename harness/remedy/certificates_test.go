package remedy

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
)

func TestWhatHasRunOutOrWillSoonIsNamed(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	good, past, near := now.Add(300*24*time.Hour), now.Add(-time.Hour), now.Add(3*24*time.Hour)
	list := []kubeadm.Expiration{{Name: "apiserver", Until: past}, {Name: "scheduler.conf", Until: good}, {Name: "etcd-peer", Until: near}, {Name: "super-admin.conf", Missing: true}}
	if got := strings.Join(stale(list, now), ", "); got != "apiserver (2026-06-01 11:00:00), etcd-peer (2026-06-04 12:00:00)" {
		t.Errorf("%s", got)
	}
	for name, c := range map[string]struct {
		list, authorities []kubeadm.Expiration
		says              string
	}{
		"only its own":                 {list, []kubeadm.Expiration{{Name: "ca", Until: good}}, ""},
		"an authority has run out":     {nil, []kubeadm.Expiration{{Name: "etcd-ca", Until: past}}, "the authority etcd-ca on a runs out at 2026-06-01 11:00:00"},
		"signed elsewhere":             {[]kubeadm.Expiration{{Name: "apiserver", Until: past, External: true}}, nil, "apiserver on a is signed by an authority whose key is not there"},
		"signed elsewhere, and good":   {[]kubeadm.Expiration{{Name: "apiserver", Until: good, External: true}}, nil, ""},
		"an authority that is missing": {nil, []kubeadm.Expiration{{Name: "etcd-ca", Missing: true}}, ""},
	} {
		err := plan.Refusal("it", unrenewable("a", c.list, c.authorities, now))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}

// A member that serves nobody costs nothing; one that serves is started anew only while the others are a quorum.
func TestAMemberIsStartedAnewOnlyWhereTheOthersAreAQuorum(t *testing.T) {
	three, one := []string{"a", "b", "c"}, []string{"a"}
	expired := func(machines ...string) map[string][]string {
		out := map[string][]string{}
		for _, m := range machines {
			out[m] = []string{"etcd-server"}
		}
		return out
	}
	well := func(machines ...string) map[string]bool {
		out := map[string]bool{}
		for _, m := range machines {
			out[m] = true
		}
		return out
	}
	for name, c := range map[string]struct {
		machines []string
		well     map[string]bool
		expired  map[string][]string
		says     string
	}{
		"one, that serves nobody":          {three, well("b", "c"), expired("a"), ""},
		"one, that serves still":           {three, well("a", "b", "c"), expired("a"), ""},
		"that, and another is away":        {three, well("a", "b"), expired("a"), "while the member on a starts anew 1 of 3 are well, a quorum is 2; not well besides: c"},
		"all, and none serves":             {three, well(), expired("a", "b", "c"), ""},
		"all, and all serve still":         {three, well("a", "b", "c"), expired("a", "b", "c"), ""},
		"another is away, none is to anew": {three, well("a", "b"), expired(), ""},
		"the only one":                     {one, well("a"), expired("a"), ""},
	} {
		found := projectRestarts(votes{all: c.machines, well: c.well}, c.expired)
		err := plan.Refusal("it", found)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
		if name == "the only one" && len(found) != 1 {
			t.Errorf("nobody is warned that nobody is answered: %v", found)
		}
	}
}

// Who is well beside its machine is counted by the list: by the machines alone a member on none of them costs nothing, and a learner is a vote.
func TestTheVotesOfARestartAreThoseOfTheList(t *testing.T) {
	list, three := listed("a", "b", "c")
	another := slices.Clone(three)
	another[1].ID = 9
	learner := slices.Clone(list)
	learner[1].Learner = true
	for name, c := range map[string]struct {
		list    etcd.Membership
		members []etcd.Member
		says    string
		warns   int
	}{
		"of three":                     {etcd.Membership{Members: list}, three, "", 0},
		"a stranger is on the list":    {etcd.Membership{Members: append(slices.Clone(list), etcd.Listed{ID: 9, Name: "x"})}, three, "2 of 4 are well, a quorum is 3; not well besides: the stranger 9 x", 0},
		"another calls itself another": {etcd.Membership{Members: list}, another, "1 of 3 are well, a quorum is 2; not well besides: b", 0},
		"another is a learner":         {etcd.Membership{Members: learner}, three, "1 of 2 are well, a quorum is 2", 0},
		"its own is on no list":        {etcd.Membership{Members: list[1:]}, three, "", 0},
		"nobody gives the list":        {etcd.Membership{Error: "certificate has expired"}, nil, "", 1},
	} {
		v := projectVotes(c.list, c.members, map[string]bool{"a": true, "b": true, "c": true}, []string{"a", "b", "c"})
		found := projectRestarts(v, map[string][]string{"a": {"etcd-server"}})
		err := plan.Refusal("it", found)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) || err == nil && len(found) != c.warns {
			t.Errorf("%s: %v; want %q", name, found, c.says)
		}
	}
}

// A member that has taken its new certificates up by itself is waited with while another is away, and not for ever.
func TestAMemberIsStartedAnewWhenItCanBeSpared(t *testing.T) {
	r := certificateRenewal{&Remedy{Spec: Spec{Timeout: 3 * time.Second}, found: &Diagnosis{Expired: map[string][]string{"b": {"etcd-peer"}}}}}
	of := func(well ...string) votes {
		v := votes{all: []string{"a", "b", "c"}, well: map[string]bool{}}
		for _, m := range well {
			v.well[m] = true
		}
		return v
	}
	for name, c := range map[string]struct {
		looks []votes // the last one stays
		asked int     // at the least
		says  string
	}{
		"all are there":          {[]votes{of("a", "b", "c")}, 1, ""},
		"it serves nobody":       {[]votes{of("a")}, 1, ""},
		"another comes back":     {[]votes{of("a", "b"), of("a", "b", "c")}, 2, ""},
		"another stays away":     {[]votes{of("a", "b")}, 2, "while the member on b starts anew 1 of 3 are well, a quorum is 2; not well besides: c"},
		"it ends in the waiting": {[]votes{of("a", "b"), of("a")}, 2, ""},
	} {
		asked := 0
		v, err := r.spared(t.Context(), "b", func(context.Context) votes {
			asked++
			return c.looks[min(asked, len(c.looks))-1]
		})
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
		if asked < c.asked || len(v.all) != 3 {
			t.Errorf("%s: asked %d times, %v", name, asked, v)
		}
	}
}
