package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
)

func put(to string, call, ret int64) Op {
	return Op{Kind: "put", Key: "k", To: to, Call: call, Return: ret}
}

func get(value string, call, ret int64) Op {
	return Op{Kind: "get", Key: "k", Value: value, Call: call, Return: ret}
}

func cas(from, to string, call, ret int64) Op {
	return Op{Kind: "cas", Key: "k", From: from, To: to, Swapped: true, Call: call, Return: ret}
}

func unswapped(from, to, found string, call, ret int64) Op {
	return Op{Kind: "cas", Key: "k", From: from, To: to, Value: found, Call: call, Return: ret}
}

// open is a write nobody has answered.
func open(o Op) Op {
	o.Unknown, o.Swapped, o.Return = true, false, 0
	return o
}

func TestLinearizable(t *testing.T) {
	for name, c := range map[string]struct {
		ops  []Op
		want bool
	}{
		"in order":                       {[]Op{put("a", 0, 1), get("a", 2, 3)}, true},
		"a stale read":                   {[]Op{put("a", 0, 1), put("b", 2, 3), get("a", 4, 5)}, false},
		"an acknowledged write gone":     {[]Op{put("a", 0, 1), get("", 2, 3)}, false},
		"the object gone":                {[]Op{put("a", 0, 1), get(Absent, 2, 3)}, false},
		"an unknown write, late":         {[]Op{open(put("a", 0, 0)), get("", 2, 3), get("a", 4, 5)}, true},
		"an unknown write, seen and not": {[]Op{open(put("a", 0, 0)), get("a", 2, 3), get("", 4, 5)}, false},
		"a write nobody made":            {[]Op{get("a", 2, 3)}, false},
		"seen before it was begun":       {[]Op{get("a", 0, 1), open(put("a", 2, 0))}, false},
		"swapped from another":           {[]Op{put("a", 0, 1), cas("b", "c", 2, 3)}, false},
		"a swap refused wrongly":         {[]Op{put("a", 0, 1), unswapped("a", "c", "a", 2, 3)}, false},
		"a swap that found another":      {[]Op{put("a", 0, 1), unswapped("x", "c", "a", 2, 3)}, true},
		"a swap that found what was not": {[]Op{put("a", 0, 1), unswapped("x", "c", "b", 2, 3)}, false},
		"an unknown swap of an unknown":  {[]Op{open(put("a", 0, 0)), open(cas("a", "b", 2, 0)), get("b", 4, 5)}, true},
		"an unknown swap seen too early": {[]Op{put("x", 0, 1), open(cas("a", "b", 2, 0)), get("b", 4, 5), open(put("a", 6, 0))}, false},
	} {
		if got, known := Linearizable(c.ops, time.Second); got != c.want || !known {
			t.Errorf("%s: %t, known %t", name, got, known)
		}
	}
}

// TestBoundedChangesNoVerdict holds what bounded takes away against the search without it, on short random histories, right ones and wrong ones.
func TestBoundedChangesNoVerdict(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	verdicts := map[bool]int{}
	for range 20000 {
		ops := randomHistory(rng)
		got, _ := Linearizable(ops, time.Minute)
		if want := explained(ops, "", make([]bool, len(ops))); got != want {
			t.Fatalf("%t instead of %t: %v", got, want, ops)
		}
		verdicts[got]++
	}
	if verdicts[true] < 1000 || verdicts[false] < 1000 {
		t.Fatalf("the histories are too much alike: %v", verdicts)
	}
}

// randomHistory runs a register, answers some operations wrongly and leaves some without an answer.
func randomHistory(rng *rand.Rand) []Op {
	value := ""
	var ops []Op
	at := int64(0)
	for i := range 3 + rng.IntN(5) {
		at += rng.Int64N(6)
		o := Op{Client: i, Key: "k", Kind: []string{"put", "get", "cas"}[rng.IntN(3)], Call: at, Return: at + 1 + rng.Int64N(12)}
		if o.Kind != "get" {
			o.To = string(rune('a' + i))
		}
		if o.Kind == "cas" {
			o.From = []string{value, "", "a", "b"}[rng.IntN(4)]
			if o.From == o.To {
				o.From = ""
			}
		}
		before := value
		happens := true
		if o.Kind != "get" && rng.IntN(3) == 0 {
			o.Unknown, o.Return, happens = true, 0, rng.IntN(2) == 0
		}
		var ok bool
		switch {
		case !happens:
		case o.Kind == "put":
			value = o.To
		case o.Kind == "cas" && value == o.From:
			value, ok = o.To, true
		}
		if !o.Unknown {
			o.Swapped = ok
			if o.Kind != "put" && !ok {
				o.Value = before
				if rng.IntN(8) == 0 {
					o.Value = []string{"", "a", "b", "c"}[rng.IntN(4)]
				}
			}
		}
		ops = append(ops, o)
	}
	return ops
}

// explained tries every order, with every open write at every place and at none.
func explained(ops []Op, value string, done []bool) bool {
	end := int64(1) << 62
	left := false
	for i, o := range ops {
		if !done[i] && !o.Unknown {
			end, left = min(end, o.Return), true
		}
	}
	if !left {
		return true
	}
	for i, o := range ops {
		if done[i] || o.Call > end {
			continue
		}
		if ok, next := o.step(value); ok {
			done[i] = true
			if explained(ops, next, done) {
				done[i] = false
				return true
			}
			done[i] = false
		}
	}
	return false
}

// TestManyOpenWrites: a long outage leaves a hundred writes without an answer, and the search ends all the same.
func TestManyOpenWrites(t *testing.T) {
	var ops []Op
	at := int64(0)
	for i := range 100 {
		ops = append(ops, open(put(string(rune(1000+i)), at, 0)))
		at += 10
	}
	for i := range 1000 {
		ops = append(ops, put(string(rune(5000+i)), at, at+2), get(string(rune(5000+i)), at+3, at+4))
		at += 10
	}
	if ok, known := Linearizable(ops, 5*time.Second); !ok || !known {
		t.Fatalf("%t, known %t", ok, known)
	}
}

func TestVisualise(t *testing.T) {
	var page bytes.Buffer
	fine := []Op{put("a", 0, 1), get("a", 2, 3)}
	if err := Visualise(fine, &page); err != nil || page.Len() != 0 {
		t.Fatalf("%d bytes, %v", page.Len(), err)
	}
	if err := Visualise(append(fine, get("never", 4, 5), get("a", 10, 11)), &page); err != nil || !bytes.Contains(page.Bytes(), []byte("get(k) -\\u003e never")) {
		t.Fatalf("%d bytes, %v", page.Len(), err)
	}
}

func TestHistoriesAreKept(t *testing.T) {
	in := History{Name: "etcd", Ops: []Op{put("a", time.Now().UnixNano(), time.Now().UnixNano()), open(cas("a", "b", 5, 6)), get("", 7, 8)}}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out History
	if err := json.Unmarshal(raw, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Fatalf("%v, %v", out, err)
	}
}

// tries are half a second long and begin a second apart.
func tries(results ...string) []Sample {
	var out []Sample
	for i, err := range results {
		begun := time.Unix(int64(i), 0)
		out = append(out, Sample{Start: begun, End: begun.Add(500 * time.Millisecond), Err: err})
	}
	return out
}

func TestLongestGap(t *testing.T) {
	if got := LongestGap(tries("", "x", "x")); got != 2*time.Second {
		t.Errorf("open at the end: %s, want 2s", got)
	}
	if got := LongestGap(tries("x", "x")); got != 1500*time.Millisecond {
		t.Errorf("never: %s, want all of 1.5s", got)
	}
}

// TestAFailureWithoutAWordIsNoSuccess: somebody's balancer answers with a Status that says nothing, and no error's text says that all is well.
func TestAFailureWithoutAWordIsNoSuccess(t *testing.T) {
	var s Sample
	s.failed(&apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: 503}})
	if s.Good() || s.Class != cluster.Answered || s.Status != 503 {
		t.Errorf("%+v", s)
	}
}

// TestAcknowledgedWritesAreCounted: from when somebody waits for them on, writes alone, and those alone that were acknowledged.
func TestAcknowledgedWritesAreCounted(t *testing.T) {
	l := &Load{recorders: []*recorder{newRecorder(LedgerEtcd)}}
	r := l.recorders[0]
	r.add(put("before", 0, 1))
	type seen struct {
		op  Op
		n   int
		err error
	}
	came := make(chan seen, 1)
	go func() {
		op, n, err := l.Acknowledged(t.Context(), LedgerEtcd, 2)
		came <- seen{op, n, err}
	}()
	if err := cluster.Await(t.Context(), "somebody who waits", cluster.Wait{For: 5 * time.Second, Every: time.Millisecond}, func(context.Context) error {
		if len(r.waiters()) == 0 {
			return errors.New("nobody does")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, op := range []Op{get("x", 0, 1), open(put("lost", 0, 0)), unswapped("a", "b", "c", 0, 1), put("first", 0, 1), cas("first", "second", 2, 3), put("third", 4, 5)} {
		r.add(op)
	}
	if got := <-came; got.err != nil || got.op.To != "second" || got.n != 2 {
		t.Errorf("%+v", got)
	}
	if left := r.waiters(); len(left) > 0 {
		t.Errorf("%d still wait", len(left))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, n, err := l.Acknowledged(ctx, LedgerEtcd, 3); err == nil || n != 0 {
		t.Errorf("what never came: %d, %v", n, err)
	}
	if _, _, err := l.Acknowledged(t.Context(), LedgerAPI, 1); err == nil {
		t.Error("writes of clients that are not there")
	}
}

func (r *recorder) waiters() []*awaited {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting
}
