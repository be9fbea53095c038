package throttle

import (
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// Budget is the kind of call the gateway counts: reads, writes (POST among them) or deletes.
func Budget(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		return "reads"
	case http.MethodDelete:
		return "deletes"
	default:
		return "writes"
	}
}

// BudgetOf is the gateway's budget for an operation.
func BudgetOf(operation string) string {
	switch verb, _, _ := strings.Cut(operation, " "); verb {
	case "CREATE", "UPDATE", "POST":
		return "writes"
	case "DELETE":
		return "deletes"
	default:
		return "reads"
	}
}

// GatewayKinds are the gateway's budgets.
func GatewayKinds() []string { return []string{"reads", "writes", "deletes"} }

// Resource is what a policy of single resources counts a call for: what an action works on, what a list or a view is of, and of an extension or a run
// command what that is on. ok is false where there is none: lists of resources that are in no other count for the subscription alone (learn.microsoft.com
// "Compute throttling limits", which has extensions and run commands among the calls of a machine, and its notes 1 and 2).
func Resource(id arm.ID) (of arm.ID, ok bool) {
	if id.Collection() {
		id = id.Parent()
	}
	for len(id.Types) > 1 && slices.Contains([]string{"extensions", "runcommands"}, strings.ToLower(id.Types[len(id.Types)-1])) {
		id = id.Top(len(id.Types) - 1)
	}
	return id, len(id.Names) > 0 && !strings.EqualFold(id.Types[0], "locations")
}
