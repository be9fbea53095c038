package health

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// fill puts something into every field there is.
func fill(v reflect.Value, n *int) {
	*n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(epoch.Add(time.Duration(*n)*time.Second + 123456789)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				panic(fmt.Sprintf("%s.%s is lost", v.Type(), v.Type().Field(i).Name))
			}
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(fmt.Sprint("s", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.1)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(1<<31 + uint64(*n))
	default:
		panic(fmt.Sprintf("%s in a record", v.Type()))
	}
}

// TestARecordSurvivesBeingKept: what is judged later must be what was seen.
func TestARecordSurvivesBeingKept(t *testing.T) {
	var r, back Record
	n := 0
	fill(reflect.ValueOf(&r).Elem(), &n)
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, back) {
		t.Errorf("%+v\n%+v", r, back)
	}
}

func TestAStallOfTheHarnessIsNoLoss(t *testing.T) {
	r := three()
	for i := range 30 {
		r.Observations = append(r.Observations, seen(float64(i)))
	}
	for i := 10; i < 13; i++ {
		m := &r.Observations[i].Members[1]
		m.Error, m.Failure = "deadline exceeded", cluster.Deadline
	}
	r.Host = stalled(10, 13)
	if c := judge(t, "onlyPlannedLosses", r, nil, Params{}); c.Verdict != plan.Pass {
		t.Errorf("%s: %s", c.Verdict, c.Message)
	}
}

func TestOneSampleIsNotEnough(t *testing.T) {
	r := three()
	w := &Window{ID: "3", Machines: []string{"etcd-1"}, Began: at(0), Effective: at(1), Recover: at(60), Cleared: at(61)}
	s := load.Sample{Start: at(2), End: at(2.5)}
	r.Samples = map[string][]load.Sample{load.ProbeEtcdWrite: {s}, load.ProbeWorkload: {s}}
	if c := judge(t, "etcdWritesContinue", r, w, Params{}); c.Verdict != plan.Unknown {
		t.Errorf("%s: %s", c.Verdict, c.Message)
	}
	r.Samples[load.ProbeEtcdWrite][0].Err = "no"
	if c := judge(t, "etcdWritesStop", r, w, Params{}); c.Verdict != plan.Unknown {
		t.Errorf("%s: %s", c.Verdict, c.Message)
	}
}

func TestWholeIsFoundAgain(t *testing.T) {
	r := three()
	r.Final = seen(60, "etcd-2")
	if c := judge(t, "whole", r, nil, Params{}); c.Verdict != plan.Fail {
		t.Errorf("%s: %s", c.Verdict, c.Message)
	}
}

func TestAMemberThatIsSlowIsNotLostUntilItIsSilent(t *testing.T) {
	for _, c := range []struct {
		seconds int
		want    plan.Verdict
	}{{3, plan.Pass}, {8, plan.Fail}} {
		r := three()
		for i := range 30 {
			r.Observations = append(r.Observations, seen(float64(i)))
		}
		for i := 10; i < 10+c.seconds; i++ {
			m := &r.Observations[i].Members[1]
			m.Error, m.Failure = "deadline exceeded", cluster.Deadline
		}
		if got := judge(t, "onlyPlannedLosses", r, nil, Params{}); got.Verdict != c.want {
			t.Errorf("%d s: %s: %s", c.seconds, got.Verdict, got.Message)
		}
	}
}

// TestOneFrozenServerOfThreeIsNoOutage: as seen while the leader of three members was stopped, every third write waits for it in vain.
func TestOneFrozenServerOfThreeIsNoOutage(t *testing.T) {
	for _, c := range []struct {
		bad, of int
		want    plan.Verdict
	}{{1, 3, plan.Pass}, {2, 5, plan.Pass}, {3, 4, plan.Fail}} {
		r := three()
		w := &Window{ID: "3", Machines: []string{"etcd-1"}, Began: at(0), Effective: at(1), Recover: at(31), Cleared: at(32)}
		now := 1.01
		for i := 0; now < 30; i++ {
			s := load.Sample{Start: at(now), End: at(now + 0.01)}
			now += 0.2
			if i%c.of < c.bad {
				s.Err, s.Class, s.End = "deadline exceeded", cluster.Deadline, s.Start.Add(time.Second)
				now += 0.8
			}
			if r.Samples == nil {
				r.Samples = map[string][]load.Sample{}
			}
			r.Samples[load.ProbeEtcdWrite] = append(r.Samples[load.ProbeEtcdWrite], s)
		}
		if got := judge(t, "etcdWritesContinue", r, w, Params{}); got.Verdict != c.want {
			t.Errorf("%d of %d: %s: %s", c.bad, c.of, got.Verdict, got.Message)
		}
	}
}

func TestDataThatIsNotKeptIsMissed(t *testing.T) {
	whole := func() *Record {
		r := three()
		r.Final.Time = at(60)
		h, l := load.History{Name: load.LedgerEtcd}, load.Ledger{Name: load.LedgerEtcd}
		var s []load.Sample
		for i := range 60 {
			h.Ops = append(h.Ops, load.Op{Kind: "put", Key: "k", To: fmt.Sprint(i), Call: at(float64(i)).UnixNano(), Return: at(float64(i) + 0.1).UnixNano()})
			l.Acknowledged = append(l.Acknowledged, fmt.Sprint(i))
			s = append(s, load.Sample{Start: at(float64(i)), End: at(float64(i) + 0.1)})
		}
		l.Found = l.Acknowledged
		r.Histories, r.Ledgers, r.Samples = []load.History{h}, []load.Ledger{l}, map[string][]load.Sample{load.ProbeEtcdWrite: s}
		return r
	}
	for name, c := range map[string]struct {
		change        func(r *Record)
		history, loss plan.Verdict
	}{
		"all kept":          {func(*Record) {}, plan.Pass, plan.Pass},
		"half a history":    {func(r *Record) { r.Histories[0].Ops = r.Histories[0].Ops[:20] }, plan.Unknown, plan.Pass},
		"half a ledger":     {func(r *Record) { r.Ledgers[0].Acknowledged = r.Ledgers[0].Acknowledged[:30] }, plan.Pass, plan.Unknown},
		"none of the API's": {func(r *Record) { r.Topology = cluster.Topology{ControlPlanes: 1}.Complete() }, plan.Unknown, plan.Unknown},
		"half, after a jump": {func(r *Record) {
			r.Histories[0].Ops, r.Host = r.Histories[0].Ops[:20], []observe.HostReading{{Jump: time.Minute}}
		}, plan.Pass, plan.Pass},
		"half, and lost as well": {func(r *Record) { r.Ledgers[0].Acknowledged, r.Ledgers[0].Found = r.Ledgers[0].Acknowledged[:30], nil }, plan.Pass, plan.Fail},
	} {
		r := whole()
		c.change(r)
		if got := judge(t, "linearizable", r, nil, Params{}); got.Verdict != c.history {
			t.Errorf("%s: %s: %s", name, got.Verdict, got.Message)
		}
		if got := judge(t, "noAcknowledgedWriteLost", r, nil, Params{}); got.Verdict != c.loss {
			t.Errorf("%s: %s: %s", name, got.Verdict, got.Message)
		}
	}
}

// TestEtcdThatTakesNoWritesIsAnOutage: with an alarm of no space a quorum reads on, members answer, and nothing can be written.
func TestEtcdThatTakesNoWritesIsAnOutage(t *testing.T) {
	if !slices.Contains(Builtin(three().Topology), "requests") {
		t.Error("nobody asks whether etcd takes writes")
	}
	for name, c := range map[string]struct {
		from, to float64
		windows  []Window
		want     plan.Verdict
	}{
		"quiet":                {0, 0, nil, plan.Pass},
		"20 s of no space":     {20, 40, nil, plan.Fail},
		"a short election":     {20, 23, nil, plan.Pass},
		"the loss was planned": {20, 40, []Window{{Machines: []string{"etcd-1", "etcd-2"}, Expected: true, Began: at(19), Effective: at(21), Recover: at(39), Cleared: at(40)}}, plan.Pass},
		"one of three is lost": {20, 50, []Window{{Machines: []string{"etcd-1"}, Began: at(19), Effective: at(21), Recover: at(39), Cleared: at(40)}}, plan.Fail},
	} {
		r := three()
		r.Windows, r.Samples = c.windows, map[string][]load.Sample{}
		for now := 0.0; now < 60; now += 0.2 {
			s := load.Sample{Start: at(now), End: at(now + 0.01)}
			r.Samples[load.ProbeEtcdRead] = append(r.Samples[load.ProbeEtcdRead], s)
			if now >= c.from && now < c.to {
				s.Err, s.Class = "etcdserver: mvcc: database space exceeded", cluster.Answered
			}
			r.Samples[load.ProbeEtcdWrite] = append(r.Samples[load.ProbeEtcdWrite], s)
		}
		if got := judge(t, "requests", r, nil, Params{}); got.Verdict != c.want {
			t.Errorf("%s: %s: %s", name, got.Verdict, got.Message)
		}
	}
}
