package fault

import (
	"errors"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"drydock.dev/drydock/harness/cluster"
)

// What passes for a skew by drift, or for a heartbeat's age, is none; and whose clock is his host's is not set.
func TestSkewsThatAreRefused(t *testing.T) {
	own := cluster.Topology{Name: "a", ControlPlanes: 1, Workers: 2, VMWorkers: 1, Version: "v1.36.3"}.Complete()
	shared := cluster.Topology{Name: "a", ControlPlanes: 1, Workers: 2, Version: "v1.36.3"}.Complete()
	for _, c := range []struct {
		by     time.Duration
		target string
		on     cluster.Topology
		want   string // of the error; empty: it is fine
	}{
		{10 * time.Minute, "worker-2", own, ""},
		{-24 * time.Hour, "worker-2", own, ""},
		{10 * time.Minute, "worker-1", shared, ""}, // which the provider lacks, and says why
		{0, "worker-2", own, "by is 0s; it is 1m0s to 24h0m0s"},
		{-30 * time.Second, "worker-2", own, "by is -30s"},
		{25 * time.Hour, "worker-2", own, "by is 25h"},
		{10 * time.Minute, "worker-1", own, "the clock of worker-1 is its host's; those with one of their own: worker-2"},
		{10 * time.Minute, "workers", own, "the clock of worker-1 is its host's"},
		{10 * time.Minute, "nodeOf/web", own, "the clock of worker-1 is its host's"},
	} {
		s, err := NewSpec("clockSkew", c.target, time.Minute, Params{By: c.by}, c.on, seeded())
		var usage *cluster.UsageError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s of %s on %s: %v, want %q", c.by, c.target, c.on, err, c.want)
		}
		if got := s.Describe(); c.want == "" && !strings.HasPrefix(got, "clockSkew "+signed(c.by)+" of "+c.target) {
			t.Errorf("%q", got)
		}
	}
}

// A clock that is asked over a network has shown its time at some instant between question and answer: no skew is seen where there may be none.
func TestAClockIsToldNoNearerThanItIsAsked(t *testing.T) {
	asked := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		shows time.Duration // after it was asked
		took  time.Duration
		by    time.Duration
		is    bool
	}{
		"right":                      {0, time.Second, 0, true},
		"right, whatever it took":    {3 * time.Second, 8 * time.Second, 0, true},
		"drifted":                    {-4 * time.Second, time.Second, 0, true},
		"wrong":                      {-10 * time.Second, time.Second, 0, false},
		"ahead":                      {10 * time.Minute, time.Second, 10 * time.Minute, true},
		"behind":                     {-10 * time.Minute, time.Second, -10 * time.Minute, true},
		"the other way":              {-10 * time.Minute, time.Second, 10 * time.Minute, false},
		"by less":                    {9 * time.Minute, time.Second, 10 * time.Minute, false},
		"not at all, late as it was": {0, pageWithin, leastSkew, false},
		"not at all":                 {0, time.Second, -leastSkew, false},
	} {
		if got := aheadBy(asked.Add(c.shows), asked, asked.Add(c.took)); got.is(c.by) != c.is {
			t.Errorf("%s: %+v is ahead by %s: %t", name, got, c.by, !c.is)
		}
	}
}

// A heartbeat has an age, and one of a clock that is right is not one of a clock that is wrong.
func TestHeartbeatsTellWhoseClockTheyAreOf(t *testing.T) {
	for _, timing := range []cluster.Timing{cluster.TimingFast, cluster.TimingProduction} {
		top := cluster.Topology{Timing: timing}
		for _, by := range []time.Duration{-mostSkew, -leastSkew, 0, leastSkew, mostSkew} {
			for age := time.Duration(0); age <= 10*time.Second; age += time.Second { // a quarter of a lease
				if timing == cluster.TimingFast && age > 2*time.Second {
					break
				}
				if !beats(by-age, by, top) {
					t.Errorf("%s: a heartbeat that is %s old is not one of a clock that is %s ahead", timing, age, by)
				}
				if by != 0 && beats(-age, by, top) {
					t.Errorf("%s: a heartbeat of a clock that is right and %s old is one of a clock that is %s ahead", timing, age, by)
				}
			}
		}
	}
}

// A node is Ready at once when its clock is right again, and a lease that goes back is held for an old one: only a report since makes an end of it.
func TestAReportIsWaitedForWhereHeartbeatsGoBack(t *testing.T) {
	now := time.Now()
	client := clientset.NewClientset(
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: "worker-2"}, Spec: coordinationv1.LeaseSpec{RenewTime: ptr.To(metav1.NewMicroTime(now))}},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: "worker-1"}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-2"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeDiskPressure, LastHeartbeatTime: metav1.NewTime(now)},
			{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.NewTime(now.Add(-time.Minute))},
		}}},
	)
	renewed, err := heartbeat(t.Context(), client, "worker-2")
	if err != nil || renewed.Sub(now).Abs() > time.Millisecond {
		t.Errorf("%s, %v", renewed, err)
	}
	if _, err := heartbeat(t.Context(), client, "worker-1"); err == nil || !strings.Contains(err.Error(), "never renewed") {
		t.Errorf("error %v", err)
	}
	for name, c := range map[string]struct {
		by      time.Duration
		righted time.Duration // before now; 0: by another process
		want    string
	}{
		"back, reported since":     {10 * time.Minute, 2 * time.Minute, ""},
		"back, not reported since": {10 * time.Minute, 30 * time.Second, "has reported no status since"},
		"ahead":                    {-10 * time.Minute, 30 * time.Second, ""},
	} {
		f := &clockSkew{by: c.by, righted: map[string]time.Time{"worker-2": now.Add(-c.righted)}}
		_, err := f.reportedSince(t.Context(), client, []string{"worker-2"})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
