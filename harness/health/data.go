package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

// searchFor bounds the search for an order of one history's operations.
const searchFor = 30 * time.Second

func linearizable(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Histories) == 0 {
		return plan.Unknown, "no history was recorded"
	}
	var said, unclear, wrong []string
	for _, h := range r.Histories {
		answered := slices.ContainsFunc(h.Ops, func(o load.Op) bool { return !o.Unknown })
		ok, known := load.Linearizable(h.Ops, searchFor)
		switch {
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
		default:
			said = append(said, fmt.Sprintf("%s: all %d acknowledged writes are there", l.Name, len(l.Acknowledged)))
		}
	}
	return worst(wrong, unclear, said)
}
