package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// Op is one operation of a client on one key, and what came back. Every value written is unique, so a value names its write.
type Op struct {
	Client  int    `json:"client"`
	Kind    string `json:"kind"` // put, get, cas
	Key     string `json:"key"`
	From    string `json:"from,omitempty"`    // cas: the value it replaces
	To      string `json:"to,omitempty"`      // put, cas
	Value   string `json:"value,omitempty"`   // get: what was read; cas that did not swap: what was there instead
	Swapped bool   `json:"swapped,omitempty"` // cas
	Unknown bool   `json:"unknown,omitempty"` // no answer: it may have happened, may happen later, or never
	Call    int64  `json:"call"`              // nanoseconds since 1970, by a clock that never jumps
	Return  int64  `json:"return,omitempty"`  // the same; nothing when the answer is unknown
}

// Absent is what a read gives when the object itself is gone. The clients never delete any.
const Absent = "(absent)"

// History is what the clients of one store did, in the order of their answers.
type History struct {
	Name string `json:"name"`
	Ops  []Op   `json:"ops"`
}

// model is a register per key with put, get and compare-and-swap.
func model() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[string]int{}
			var out [][]porcupine.Operation
			for _, o := range ops {
				key := o.Input.(Op).Key
				i, ok := byKey[key]
				if !ok {
					i = len(out)
					byKey[key] = i
					out = append(out, nil)
				}
				out[i] = append(out[i], o)
			}
			return out
		},
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) { return input.(Op).step(state.(string)) },
		DescribeOperation: func(input, _ any) string {
			o := input.(Op)
			return o.String()
		},
	}
}

// step tells whether the operation's answer is right where the key has the value, and what value it then has.
func (o Op) step(value string) (bool, string) {
	swaps := value == o.From
	switch {
	case o.Kind == "put":
		return true, o.To
	case o.Kind == "get":
		return o.Value == value, value
	case !o.Unknown && o.Swapped != swaps, !o.Unknown && !o.Swapped && o.Value != value:
		return false, value
	case swaps:
		return true, o.To
	default:
		return true, value
	}
}

func (o Op) String() string {
	switch {
	case o.Kind == "put":
		return fmt.Sprintf("put(%s, %s)%s", o.Key, o.To, o.answer("ok"))
	case o.Kind == "get":
		return fmt.Sprintf("get(%s)%s", o.Key, o.answer(o.Value))
	case o.Swapped:
		return fmt.Sprintf("cas(%s, %s, %s)%s", o.Key, o.From, o.To, o.answer("swapped"))
	default:
		return fmt.Sprintf("cas(%s, %s, %s)%s", o.Key, o.From, o.To, o.answer("no, it is "+o.Value))
	}
}

func (o Op) answer(s string) string {
	if o.Unknown {
		return " -> ?"
	}
	return " -> " + s
}

// bounded takes out of a history the writes without an answer whose value nobody ever saw, and gives the others an end: the first answer that
// shows their value. What is linearizable stays so and what is not does not become so. A write nobody saw can always be put after everything
// else; taken away from where it stood, nothing before the next write can have depended on it, because whoever looks names what it saw. A write
// somebody saw took effect before that answer. Without this each such write is open to the end, and doubles the search.
func bounded(ops []Op) []Op {
	type place struct{ key, value string }
	seen := map[place]int64{} // the end of the first operation that shows the value
	show := func(key, value string, end int64) {
		if old, ok := seen[place{key, value}]; !ok || end < old {
			seen[place{key, value}] = end
		}
	}
	open := map[place]Op{} // writes without an answer
	for _, o := range ops {
		switch {
		case o.Unknown:
			if o.Kind != "get" {
				open[place{o.Key, o.To}] = o
			}
		case o.Kind == "cas" && o.Swapped:
			show(o.Key, o.From, o.Return)
		case o.Kind != "put":
			show(o.Key, o.Value, o.Return)
		}
	}
	for changed := true; changed; { // an open swap somebody saw has seen what it replaced
		changed = false
		for at, o := range open {
			end, ok := seen[at]
			if ok && o.Kind == "cas" {
				before, known := seen[place{o.Key, o.From}]
				show(o.Key, o.From, end)
				changed = changed || !known || end < before
			}
		}
	}
	var out []Op
	for _, o := range ops {
		if !o.Unknown {
			out = append(out, o)
			continue
		}
		if end, ok := seen[place{o.Key, o.To}]; ok && o.Kind != "get" {
			o.Return = max(end, o.Call)
			out = append(out, o)
		}
	}
	return out
}

func operations(ops []Op) []porcupine.Operation {
	var out []porcupine.Operation
	for _, o := range bounded(ops) {
		out = append(out, porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Output: o.Value, Return: o.Return})
	}
	return out
}

// Linearizable reports whether some order of the operations explains every answer; known is false when the search did not end within the time.
func Linearizable(ops []Op, within time.Duration) (ok, known bool) {
	result := porcupine.CheckOperationsTimeout(model(), operations(ops), within)
	return result == porcupine.Ok, result != porcupine.Unknown
}

// visualiseFor bounds the search for a picture.
const visualiseFor = 20 * time.Second

// Visualise writes a page that shows the keys whose history no order explains, each up to the first answer that is wrong; nothing when all
// are explained.
func Visualise(ops []Op, w io.Writer) error {
	byKey := map[string][]Op{}
	for _, o := range ops {
		byKey[o.Key] = append(byKey[o.Key], o)
	}
	var wrong []Op
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		wrong = append(wrong, untilWrong(byKey[key])...)
	}
	if len(wrong) == 0 {
		return nil
	}
	_, info := porcupine.CheckOperationsVerbose(model(), operations(wrong), visualiseFor)
	if err := porcupine.Visualize(model(), info, w); err != nil {
		return fmt.Errorf("picture of a history: %w", err)
	}
	return nil
}

// untilWrong is a key's history up to the first answer with which no order explains it; nothing when it is explained whole.
func untilWrong(ops []Op) []Op {
	if ok, known := Linearizable(ops, visualiseFor); ok || !known {
		return nil
	}
	var ends []int64
	for _, o := range ops {
		if !o.Unknown {
			ends = append(ends, o.Return)
		}
	}
	slices.Sort(ends)
	// What an order explains, it explains up to any time.
	n := sort.Search(len(ends), func(i int) bool {
		ok, _ := Linearizable(until(ops, ends[i]), visualiseFor)
		return !ok
	})
	return until(ops, ends[min(n, len(ends)-1)])
}

// until is what was known of a history at a time: what had not been answered yet is unknown.
func until(ops []Op, end int64) []Op {
	var out []Op
	for _, o := range ops {
		if o.Call > end {
			continue
		}
		if !o.Unknown && o.Return > end {
			o.Unknown, o.Swapped, o.Value, o.Return = true, false, "", 0
		}
		out = append(out, o)
	}
	return out
}
