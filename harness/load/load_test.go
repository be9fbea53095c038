package load

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

func TestModel(t *testing.T) {
	op := func(kind, from, to string, out Out, call, ret int64) porcupine.Operation {
		return porcupine.Operation{Input: Op{Kind: kind, Key: "k", From: from, To: to}, Output: out, Call: call, Return: ret}
	}
	for name, c := range map[string]struct {
		ops  []porcupine.Operation
		want porcupine.CheckResult
	}{
		"in order":                   {[]porcupine.Operation{op("put", "", "a", Out{}, 0, 1), op("get", "", "", Out{Value: "a"}, 2, 3)}, porcupine.Ok},
		"a stale read":               {[]porcupine.Operation{op("put", "", "a", Out{}, 0, 1), op("put", "", "b", Out{}, 2, 3), op("get", "", "", Out{Value: "a"}, 4, 5)}, porcupine.Illegal},
		"an acknowledged write gone": {[]porcupine.Operation{op("put", "", "a", Out{}, 0, 1), op("get", "", "", Out{Value: ""}, 2, 3)}, porcupine.Illegal},
		"an unknown write, late":     {[]porcupine.Operation{op("put", "", "a", Out{Unknown: true}, 0, math.MaxInt64), op("get", "", "", Out{}, 2, 3), op("get", "", "", Out{Value: "a"}, 4, 5)}, porcupine.Ok},
		"swapped from another":       {[]porcupine.Operation{op("put", "", "a", Out{}, 0, 1), op("cas", "b", "c", Out{Swapped: true}, 2, 3)}, porcupine.Illegal},
		"a swap refused wrongly":     {[]porcupine.Operation{op("put", "", "a", Out{}, 0, 1), op("cas", "a", "c", Out{}, 2, 3)}, porcupine.Illegal},
	} {
		if got := porcupine.CheckOperationsTimeout(Model(), c.ops, time.Second); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// tries are half a second long and begin a second apart.
func tries(results ...error) []Sample {
	var out []Sample
	for i, err := range results {
		begun := time.Unix(int64(i), 0)
		out = append(out, Sample{Start: begun, End: begun.Add(500 * time.Millisecond), Err: err})
	}
	return out
}

func TestLongestGap(t *testing.T) {
	bad := errors.New("x")
	if got := LongestGap(tries(nil, bad, bad)); got != 2*time.Second {
		t.Errorf("open at the end: %s, want 2s", got)
	}
	if got := LongestGap(tries(bad, bad)); got != 1500*time.Millisecond {
		t.Errorf("never: %s, want all of 1.5s", got)
	}
}
