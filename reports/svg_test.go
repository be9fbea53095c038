package reports

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// drawn is the picture of a result, of which it is seen that it is well-formed; with the text of each element that has any.
func drawn(t *testing.T, r *plan.Result) (picture string, texts []string) {
	t.Helper()
	var b bytes.Buffer
	if err := SVG(&b, r); err != nil {
		t.Fatal(err)
	}
	picture = b.String()
	d := xml.NewDecoder(&b)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return picture, texts
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, picture)
		}
		if x, is := token.(xml.CharData); is && strings.TrimSpace(string(x)) != "" {
			texts = append(texts, string(x))
		}
	}
}

// TestThePictureHasThePagesLanes: every lane that the page shows at first is in it, by its name, with what it has; those that are folded are counted.
func TestThePictureHasThePagesLanes(t *testing.T) {
	r := seen()
	picture, texts := drawn(t, r)
	said := strings.Join(texts, "\n")
	for _, g := range newView(r).pack().Cells[0].Groups {
		for _, l := range g.Lanes {
			if there := strings.Contains(said, "\n"+l.Name+"\n"); there == g.Folded {
				t.Errorf("lane %s, folded %v, is in the picture: %v", l.Name, g.Folded, there)
			}
		}
	}
	for _, want := range []string{"NO-GO etcd-leader-crash", "leads, term 2", "refuses", "etcdMemberCrash of leader", "1 more lane is in report.html", "03:04:25", "+10.0 s"} {
		if !strings.Contains(said, want) {
			t.Errorf("the picture does not say %q:\n%s", want, said)
		}
	}
	if strings.Contains(picture, "<script") || strings.Contains(picture, "<img") || strings.Contains(picture, "http://") != strings.Contains(picture, `xmlns="http://www.w3.org/2000/svg"`) {
		t.Error("the picture runs or loads something")
	}
	for _, x := range []string{"width=\"NaN", "-1.0\" height=\"-", "Inf"} {
		if strings.Contains(picture, x) {
			t.Errorf("the picture has %s", x)
		}
	}
}

// TestThePictureOfAnything: of nothing, of a cut-off run, of times that cannot be and of many thousand changes it is a picture, and none that is too big.
func TestThePictureOfAnything(t *testing.T) {
	if _, texts := drawn(t, result()); !strings.Contains(strings.Join(texts, " "), "Nothing was looked at") {
		t.Errorf("of nothing: %q", texts)
	}
	odd := seen()
	tl := odd.Timelines[0]
	tl.Ended, tl.Last = tl.Began.Add(1<<63-1), tl.Began.Add(1<<63-1)
	tl.Groups[0].Lanes = append(tl.Groups[0].Lanes, plan.Lane{Name: "</text>\x00", Spans: []plan.Span{{From: lasted(30), To: lasted(10), Tone: "none", Label: "<b>"}, {To: lasted(1e9)}}})
	tl.Groups[2].Lanes = append(tl.Groups[2].Lanes, plan.Lane{Name: "odd", Samples: []plan.Sample{{At: time.Time{}, Took: 1 << 62}, {At: lasted(40), Took: -time.Second, Err: "x"}}})
	drawn(t, odd)
	picture, _ := drawn(t, long(40_000, 400_000))
	const most = 1 << 20
	if t.Logf("%d KiB", len(picture)>>10); len(picture) > most {
		t.Errorf("%d bytes", len(picture))
	}
}
