package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// searchFor bounds the search for an order of one history's operations.
const searchFor = 30 * time.Second

func linearizable(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Histories) == 0 {
		return plan.Unknown, "no history was recorded"
	}
	var said, unclear, wrong []string
	for _, name := range r.stores() {
		if !slices.ContainsFunc(r.Histories, func(h load.History) bool { return h.Name == name }) {
			unclear = append(unclear, name+": no history was recorded")
		}
	}
	for _, h := range r.Histories {
		answered := slices.ContainsFunc(h.Ops, func(o load.Op) bool { return !o.Unknown })
		ok, known := load.Linearizable(h.Ops, searchFor)
		switch {
		case ok && known && r.silent(h) != "":
			unclear = append(unclear, h.Name+": "+r.silent(h))
		case !answered:
			unclear = append(unclear, h.Name+": no operation was answered")
		case !known:
			unclear = append(unclear, fmt.Sprintf("%s: the search over %d operations did not end in time", h.Name, len(h.Ops)))
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s: no order of the %d operations explains the answers", h.Name, len(h.Ops)))
		default:
			said = append(said, fmt.Sprintf("%s: %d operations", h.Name, len(h.Ops)))
		}
	}
	return worst(wrong, unclear, said)
}

// stores are those that clients write to.
func (r *Record) stores() []string {
	if r.Topology.Kubernetes() {
		return []string{load.LedgerEtcd, load.LedgerAPI}
	}
	return []string{load.LedgerEtcd}
}

// idleFor is how long no client may do anything that is kept: reads without an answer are not.
const idleFor = 30 * time.Second

// silent says where a history has a hole: what was lost in it nobody has asked for. Its clock does not jump with the host's, so after a jump the two
// cannot be compared.
func (r *Record) silent(h load.History) string {
	if len(h.Ops) == 0 || r.Final.Time.IsZero() || slices.ContainsFunc(r.Host, func(h observe.HostReading) bool { return h.Jump != 0 }) {
		return ""
	}
	var calls []time.Time
	if begin, _ := r.span(); !begin.IsZero() {
		calls = append(calls, begin)
	}
	for _, o := range h.Ops {
		calls = append(calls, time.Unix(0, o.Call))
	}
	slices.SortFunc(calls, time.Time.Compare)
	blind := r.Blind()
	for i, from := range calls {
		to := r.Final.Time
		if i+1 < len(calls) {
			to = calls[i+1]
		}
		if to.Sub(from)-blind.Unseen(from, to) > idleFor {
			return fmt.Sprintf("no client did anything from %s to %s", clock(from.In(to.Location())), clock(to))
		}
	}
	return ""
}

// worst gives the words of the worst that was found.
func worst(wrong, unclear, fine []string) (plan.Verdict, string) {
	switch {
	case len(wrong) > 0:
		return plan.Fail, strings.Join(wrong, "; ")
	case len(unclear) > 0:
		return plan.Unknown, strings.Join(unclear, "; ")
	default:
		return plan.Pass, strings.Join(fine, "; ")
	}
}

// noLoss judges every ledger: what etcd acknowledged and what API servers did.
func noLoss(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Ledgers) == 0 {
		return plan.Unknown, "no write was recorded"
	}
	var said, unclear, wrong []string
	for _, name := range r.stores() {
		if !r.Quiet && !slices.ContainsFunc(r.Ledgers, func(l load.Ledger) bool { return l.Name == name }) {
			unclear = append(unclear, name+": no write was recorded")
		}
	}
	for _, l := range r.Ledgers {
		there := map[string]bool{}
		for _, e := range l.Found {
			there[e] = true
		}
		lost := slices.DeleteFunc(slices.Clone(l.Acknowledged), func(e string) bool { return there[e] })
		switch {
		case l.Error != "":
			unclear = append(unclear, l.Name+": "+l.Error)
		case len(l.Acknowledged) == 0:
			unclear = append(unclear, l.Name+": no write was acknowledged at all")
		case len(lost) > 0:
			wrong = append(wrong, fmt.Sprintf("%s: %d of %d acknowledged writes are gone, %s among them", l.Name, len(lost), len(l.Acknowledged), lost[0]))
		case len(l.Acknowledged) < r.acknowledged(l.Name):
			unclear = append(unclear, fmt.Sprintf("%s: %d acknowledged writes are kept, and %d were acknowledged", l.Name, len(l.Acknowledged), r.acknowledged(l.Name)))
		default:
			said = append(said, fmt.Sprintf("%s: all %d acknowledged writes are there", l.Name, len(l.Acknowledged)))
		}
	}
	return worst(wrong, unclear, said)
}

// acknowledged is how many writes of a ledger its probe saw acknowledged.
func (r *Record) acknowledged(ledger string) int {
	n := 0
	for _, s := range r.Samples[map[string]string{load.LedgerEtcd: load.ProbeEtcdWrite, load.LedgerAPI: load.ProbeAPIWrite}[ledger]] {
		if s.Good() {
			n++
		}
	}
	return n
}
