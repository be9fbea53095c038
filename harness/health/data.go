package health

import (
	"fmt"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/plan"
)

func linearizable(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Linearizable) == 0 {
		return plan.Unknown, "no history was recorded"
	}
	worst, said := plan.Pass, []string{}
	for name, v := range r.Linearizable {
		if r.Operations[name] == 0 {
			return plan.Unknown, name + ": no operation was recorded"
		}
		switch v {
		case plan.Fail:
			return plan.Fail, fmt.Sprintf("%s: no order of the %d operations explains the answers", name, r.Operations[name])
		case plan.Pass:
			said = append(said, fmt.Sprintf("%s: %d operations", name, r.Operations[name]))
		default:
			worst = plan.Unknown
			said = append(said, fmt.Sprintf("%s: the search over %d operations did not end in time", name, r.Operations[name]))
		}
	}
	slices.Sort(said)
	return worst, strings.Join(said, "; ")
}

func noLoss(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	switch {
	case r.LostError != "":
		return plan.Unknown, r.LostError
	case r.Acknowledged == 0:
		return plan.Unknown, "no write was acknowledged at all"
	case len(r.Lost) > 0:
		return plan.Fail, fmt.Sprintf("%d of %d acknowledged writes are gone, %s among them", len(r.Lost), r.Acknowledged, r.Lost[0])
	default:
		return plan.Pass, fmt.Sprintf("all %d acknowledged writes are there", r.Acknowledged)
	}
}
