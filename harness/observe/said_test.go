package observe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/etcd"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func TestSilences(t *testing.T) {
	var seen []Observation
	for i, failed := range []bool{false, true, true, false, false, true} {
		o := Observation{Time: at(float64(i)), Members: []etcd.Member{{Machine: "etcd-1"}, {Machine: "etcd-2"}}}
		if failed {
			o.Members[0].Error = "refused"
		}
		seen = append(seen, o)
	}
	got := silences(seen)
	if len(got) != 1 {
		t.Fatalf("silent: %v", got)
	}
	want := []silence{{at(0), at(3)}, {from: at(4)}}
	if quiet := got[process{etcd.Program, "etcd-1"}]; fmt.Sprint(quiet) != fmt.Sprint(want) {
		t.Fatalf("%v, want %v", quiet, want)
	}
}

// TestHeard: a crash loop as etcd writes it is three lines with a count each, and what was said before the silence is none of them.
func TestHeard(t *testing.T) {
	var log strings.Builder
	line := func(s float64, level, msg, more string) {
		fmt.Fprintf(&log, `{"level":%q,"ts":%q,"caller":"x.go:1","msg":%q%s,"stacktrace":"a\n\tb"}`+"\n", level, at(s).Format(time.RFC3339Nano), msg, more)
	}
	line(1, "error", "said while all was well", "")
	for i := range 40 {
		s := 10 + float64(i)
		line(s, "error", fmt.Sprintf("member %x is one too many", uint64(0xda1ba1fe8cc2abc0)+uint64(i)), `,"error":"too many learners"`)
		line(s+.1, "panic", "half a member", `,"error":"no attributes"`)
		log.WriteString("panic: half a member [recovered, repanicked]\n")
	}
	got := heard(log.String(), []silence{{from: at(9)}})
	if len(got) != 3 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []Line{
		{Text: "member da1ba1fe8cc2abe7 is one too many: too many learners", Times: 40, Last: at(49)},
		{Text: "half a member: no attributes", Fatal: true, Times: 40, Last: at(49.1)},
		{Text: "panic: half a member", Fatal: true, Times: 40, Last: at(49.1)},
	} {
		if got[i].Text != want.Text || got[i].Fatal != want.Fatal || got[i].Times != want.Times || !got[i].Last.Equal(want.Last) {
			t.Errorf("%+v, want %+v", got[i], want)
		}
	}
}

func TestLinesOfOtherPrograms(t *testing.T) {
	for raw, want := range map[string]Line{
		`2026-11-21T12:00:05Z stderr F E1121 12:00:04.380808       1 run.go:72] "command failed" err="no such flag"`: {Text: `"command failed" err="no such flag"`, Fatal: true, Last: at(5)},
		`2026-11-21T12:00:05Z stderr F F1121 12:00:04.380808       1 run.go:72] cannot listen`:                       {Text: "cannot listen", Fatal: true, Last: at(5)},
		`2026-11-21T12:00:05Z stdout F panic: nil map`:                                                               {Text: "panic: nil map", Fatal: true, Last: at(5)},
		`2026-11-21T12:00:05Z stderr F Error: unknown flag: --x`:                                                     {Text: "Error: unknown flag: --x", Fatal: true, Last: at(5)},
		`fatal error: all goroutines are asleep`:                                                                     {Text: "fatal error: all goroutines are asleep", Fatal: true, Last: noon},
		`E1121 12:00:04.380808     123 kubelet.go:1] off`:                                                            {Text: "off", Last: time.Date(time.Now().Year(), 11, 21, 12, 0, 4, 380808000, time.Local)},
		strings.Repeat("x", 300):      {},
		`{"level":"error","ts":"torn`: {},
	} {
		got, ok := parseLine(raw, noon)
		if ok != (want.Text != "") || ok && (got.Text != want.Text || got.Fatal != want.Fatal || !got.Last.Equal(want.Last)) {
			t.Errorf("%q: %+v, want %+v", raw, got, want)
		}
	}
	long, _ := parseLine("panic: "+strings.Repeat("ä", 300), noon)
	if len(long.Text) > saidLength+len("…") {
		t.Errorf("%d bytes of one line are kept", len(long.Text))
	}
}

// TestWordsStay: what a static pod has said stays when its log has gone with it, and is not told twice when it has not.
func TestWordsStay(t *testing.T) {
	said := func(machine string, lines ...Line) Said {
		return Said{Program: etcd.Program, Machine: machine, Lines: lines}
	}
	crash, again, other := Line{Text: "panic: member 12 is one too many", Fatal: true, Times: 3}, Line{Text: "panic: member 13 is one too many", Fatal: true, Times: 9}, Line{Text: "lost a peer", Times: 1}
	for name, c := range map[string]struct{ before, later, want []Said }{
		"its log has gone":           {[]Said{said("a", crash)}, nil, []Said{said("a", crash)}},
		"another pod's in its place": {[]Said{said("a", crash)}, []Said{said("a", other)}, []Said{said("a", crash, other)}},
		"it is still there":          {[]Said{said("a", crash)}, []Said{said("a", other, again)}, []Said{said("a", other, again)}},
		"two machines":               {[]Said{said("b", crash)}, []Said{said("a", other)}, []Said{said("a", other), said("b", crash)}},
	} {
		if got := Together(c.before, c.later); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	var many []Line
	for i := range 100 {
		many = append(many, Line{Text: strings.Repeat("x", i)})
	}
	if got := Together([]Said{said("a", many...)}, []Said{said("a", crash)}); len(got[0].Lines) != 2*saidKept || got[0].Lines[2*saidKept-1].Text != crash.Text {
		t.Errorf("of 101 lines %d are kept", len(got[0].Lines))
	}
}
