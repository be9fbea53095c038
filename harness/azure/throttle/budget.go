package throttle

import (
	"net/http"
	"strings"
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

// budgetOf is the gateway's budget for an operation.
func budgetOf(operation string) string {
	switch verb, _, _ := strings.Cut(operation, " "); verb {
	case "CREATE", "UPDATE", "POST":
		return "writes"
	case "DELETE":
		return "deletes"
	default:
		return "reads"
	}
}
