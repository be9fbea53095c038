package health

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// place is where on the timeline that is to be seen which a check says: the times and the names in its message, as clock and the checks write them. A check
// without times is of its window, or of the end; nil: of the whole run.
func (r *Record) place(c plan.Check, w *Window) *plan.Place {
	begin, end := r.extent()
	if begin.IsZero() {
		return nil
	}
	p := &plan.Place{Of: r.named(c.Message)}
	for _, text := range regexp.MustCompile(`\b\d\d:\d\d:\d\d\.\d\b`).FindAllString(c.Message, -1) { // of clock
		at, err := time.ParseInLocation(time.DateOnly+" 15:04:05.0", begin.Format(time.DateOnly)+" "+text, begin.Location())
		if err != nil {
			continue
		}
		if at.Before(begin.Add(-12 * time.Hour)) { // past midnight
			at = at.AddDate(0, 0, 1)
		}
		if p.From.IsZero() || at.Before(p.From) {
			p.From = at
		}
		if at.After(p.To) {
			p.To = at
		}
	}
	switch {
	case !p.From.IsZero():
	case w != nil && !w.Began.IsZero():
		if p.From, p.To = w.Began, w.Cleared; p.To.IsZero() {
			p.To = end
		}
	case c.When == "finally":
		p.From, p.To = end, end
	case len(p.Of) > 0:
		p.From, p.To = begin, end
	default:
		return nil
	}
	return p
}

// named are the machines, programs and probes that a message names.
func (r *Record) named(message string) []string {
	words := []string{etcd.Program, observe.APIServer, observe.ControllerManager, observe.Scheduler, observe.Kubelet, "quorum"}
	for _, m := range r.Topology.Machines() {
		words = append(words, m.Name)
	}
	for name := range r.Samples {
		words = append(words, name)
	}
	slices.Sort(words)
	inWord := func(s string) bool {
		return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
	}
	return slices.DeleteFunc(words, func(word string) bool {
		for rest := message; ; {
			i := strings.Index(rest, word)
			if i < 0 {
				return true
			}
			before, after := rest[max(0, i-1):i], rest[i+len(word):]
			if !inWord(before) && !inWord(after[:min(1, len(after))]) {
				return false
			}
			rest = after
		}
	})
}
