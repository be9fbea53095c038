package health

import (
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// sent is an answer with a put of /k at each revision; less than 0: a delete.
func sent(revisions ...int64) load.Answer {
	a := load.Answer{Kind: load.WatchEvents}
	for _, n := range revisions {
		e := load.Event{Revision: max(n, -n), Key: "/k", Deleted: n < 0}
		if !e.Deleted {
			e.Sum = 7
		}
		a.Events, a.Revision = append(a.Events, e), e.Revision
	}
	return a
}

func opened(from int64) load.Answer {
	return load.Answer{Kind: load.WatchOpened, From: from, Revision: from - 1}
}

func said(kind string, revision int64) load.Answer {
	return load.Answer{Kind: kind, Revision: revision}
}

// oneWatch is one that began at its first answer and was ended in order behind revision 9.
func oneWatch(answers ...load.Answer) load.Watch {
	w := load.Watch{Member: "etcd-1", Prefix: "/", Answers: answers, Fence: 9, Streamed: true}
	if len(answers) > 0 {
		w.From = answers[0].From
	}
	return w
}

func watchedBy(all ...load.Watch) *Record {
	r := three()
	r.Watched = &load.Watched{Watches: all}
	return r
}

// TestWatchGuarantees holds each guarantee against histories: what a real etcd sends, and each published defect of one that breaks it.
func TestWatchGuarantees(t *testing.T) {
	fine := []load.Answer{opened(1), sent(2, 3), said(load.WatchProgress, 3), sent(5), sent(-9)}
	broken := load.Answer{Kind: load.WatchBroken, Said: "EOF"}
	for name, c := range map[string]struct {
		answers []load.Answer
		wrong   map[string]string // checks that fail, and what they say
	}{
		"in order":                {answers: fine},
		"taken up where it broke": {answers: []load.Answer{opened(1), sent(2, 3), broken, opened(4), said(load.WatchProgress, 4), sent(5), sent(-9)}},
		"taken up by a member that has not come so far": {answers: []load.Answer{opened(1), sent(2, 3), sent(5), said(load.WatchProgress, 8), broken, opened(6), said(load.WatchProgress, 4), sent(-9)}},
		"back in time (etcd#15271)": {
			answers: []load.Answer{opened(1), sent(2, 3), sent(5), sent(3), sent(5), sent(-9)},
			wrong:   map[string]string{"watchOrdered": "the watch on etcd-1 of / from revision 1 went back in time: after revision 5 it was sent the put of /k at revision 3", "watchUnique": "was sent 2 events twice, the put of /k at revision 3 first"},
		},
		"from before it began (etcd#20221)": {
			answers: []load.Answer{opened(9), sent(5), sent(-9)},
			wrong:   map[string]string{"watchOrdered": "was sent the put of /k at revision 5, and was opened from 9 on"},
		},
		"from before it was taken up": {
			answers: []load.Answer{opened(1), sent(2, 3), broken, opened(4), sent(3), sent(5), sent(-9)},
			wrong:   map[string]string{"watchOrdered": "opened from 4 on", "watchUnique": "sent 1 events twice"},
		},
		"a revision in parts": {
			answers: []load.Answer{opened(1), sent(2, 3), {Kind: load.WatchEvents, Events: []load.Event{{Revision: 3, Key: "/l"}}}, sent(5), sent(-9)},
			wrong:   map[string]string{"watchOrdered": "was sent revision 3 in parts"},
		},
		"a delete left out (etcd#18089)": {
			answers: []load.Answer{opened(1), sent(2, 3), sent(5), said(load.WatchProgress, 9)},
			wrong:   map[string]string{"watchComplete": "was never sent 1 of 4 changes: the delete of /k at revision 9, which was acknowledged"},
		},
		"a put for a delete": {
			answers: []load.Answer{opened(1), sent(2, 3), said(load.WatchProgress, 3), sent(5), sent(9)},
			wrong:   map[string]string{"watchComplete": "was sent the put of /k at revision 9, and that was the delete of /k at revision 9"},
		},
		"told before it was sent (etcd#15220)": {
			answers: []load.Answer{opened(1), said(load.WatchProgress, 9), sent(2, 3), sent(5), sent(-9)},
			wrong:   map[string]string{"watchBookmarks": "was told that it had all up to revision 9, and only then sent the put of /k at revision 2"},
		},
		"compacted before it came so far": {answers: []load.Answer{opened(1), sent(2), said(load.WatchCompacted, 5), broken, opened(5), said(load.WatchProgress, 3), sent(5), sent(-9)}},
	} {
		r := watchedBy(oneWatch(c.answers...))
		r.Watched.Acknowledged, r.Watched.Left = sent(2, 3, 5, -9).Events, []load.Event{{Revision: 3, Key: "/k", Sum: 7}}
		for _, check := range []string{"watchOrdered", "watchUnique", "watchComplete"} {
			wanted(t, name, check, r, c.wrong[check])
		}
		if slices.ContainsFunc(c.answers, func(a load.Answer) bool { return a.Kind == load.WatchProgress }) {
			wanted(t, name, "watchBookmarks", r, c.wrong["watchBookmarks"])
		}
	}
}

// wanted is a pass, or a failure that says so.
func wanted(t *testing.T, name, check string, r *Record, says string) {
	t.Helper()
	verdict := plan.Fail
	if says == "" {
		verdict = plan.Pass
	}
	decided(t, name, check, r, verdict, says)
}

func decided(t *testing.T, name, check string, r *Record, want plan.Verdict, says string) {
	t.Helper()
	if got := judge(t, check, r, nil, Params{}); got.Verdict != want || !strings.Contains(got.Message, says) {
		t.Errorf("%s: %s: %s: %s; want %s, saying %q", name, check, got.Verdict, got.Message, want, says)
	}
}

// TestWhatOneWatcherWasSentTheOthersHadToBe: nobody has acknowledged it, and it is not there at the end.
func TestWhatOneWatcherWasSentTheOthersHadToBe(t *testing.T) {
	other := oneWatch(opened(1), sent(2, -9))
	other.Member = "etcd-2"
	decided(t, "one of two", "watchComplete", watchedBy(oneWatch(opened(1), sent(-9)), other), plan.Fail, "never sent 1 of 2 changes: the put of /k at revision 2, which the watch on etcd-2 of / from revision 1 was sent")
	late := oneWatch(opened(3), sent(-9))
	decided(t, "begun later", "watchComplete", watchedBy(late, other), plan.Pass, "")
	elsewhere := oneWatch(opened(1))
	elsewhere.Prefix = "/other/"
	decided(t, "of other keys", "watchComplete", watchedBy(elsewhere, other), plan.Pass, "")
}

// TestAWatchThatShowsNothingIsNoPass: of each there is a watch, and nothing it could be judged by.
func TestAWatchThatShowsNothingIsNoPass(t *testing.T) {
	for _, check := range []string{"watchOrdered", "watchUnique", "watchComplete", "watchBookmarks"} {
		decided(t, "nobody", check, watchedBy(), plan.Unknown, "nobody watched")
		decided(t, "never opened", check, watchedBy(oneWatch()), plan.Unknown, "")
		decided(t, "opened", check, watchedBy(oneWatch(opened(1))), plan.Unknown, "")
		good := oneWatch(opened(1), sent(2, 3), said(load.WatchProgress, 3), sent(-9))
		decided(t, "one of two never opened", check, watchedBy(good, oneWatch()), plan.Unknown, "was never opened")
	}
	down, unfenced := oneWatch(opened(1), sent(2, 3)), oneWatch(opened(1), sent(2, 3))
	down.Streamed, unfenced.Fence = false, 0
	decided(t, "no stream", "watchComplete", watchedBy(down), plan.Unknown, "had no stream when it ended")
	decided(t, "no fence", "watchComplete", watchedBy(unfenced), plan.Unknown, "ended without a last write")
	lost := watchedBy(down)
	lost.Watched.Acknowledged = []load.Event{{Revision: 2, Key: "/l"}}
	decided(t, "left out before the stream broke", "watchComplete", lost, plan.Fail, "never sent 1 of 3")
	unread := watchedBy(oneWatch(opened(1), sent(-9)))
	unread.Watched.Error = "deadline exceeded"
	decided(t, "the end not read", "watchComplete", unread, plan.Unknown, "deadline exceeded")
}

func TestRevisionMonotonic(t *testing.T) {
	for name, c := range map[string]struct {
		revisions []int64
		want      plan.Verdict
		says      string
	}{
		"grows":                        {[]int64{5, 5, 6}, plan.Pass, "3 linearizable reads, the last at revision 6"},
		"an answer missing":            {[]int64{5, 0, 6}, plan.Pass, ""},
		"back (etcd#17780)":            {[]int64{5, 0, 4}, plan.Fail, "answered at 5 at 00:00:00.0, and at 4 at"},
		"an answer missing at the end": {[]int64{5, 6, 0}, plan.Pass, ""},
		"no answer any more":           {[]int64{5, 6, 0, 0, 0, 0, 0, 0}, plan.Unknown, "from 00:00:01.0 to the end, at 00:00:07.0, no quorum confirmed a read"},
		"told once":                    {[]int64{0, 5}, plan.Unknown, "1 linearizable reads told a revision"},
		"nobody has told any":          {[]int64{0, 0}, plan.Unknown, ""},
	} {
		r := three()
		for i, n := range c.revisions {
			r.Observations = append(r.Observations, observe.Observation{Time: at(float64(i)), Quorum: etcd.Membership{Revision: n}})
		}
		decided(t, name, "revisionMonotonic", r, c.want, c.says)
	}
}
