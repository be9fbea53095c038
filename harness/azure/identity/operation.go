package identity

import (
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// What the services are asked for, as faults and the call log name it after the verb.
const (
	endpoints = "identity/endpoints"
	discovery = "identity/discovery"
	openID    = "identity/openid-configuration"
	keys      = "identity/keys"
	token     = "identity/token"

	machineToken = "imds/token"
	imds         = "imds/"
)

// Operation names what a call asks of these services, by its path: VERB identity/token, VERB imds/instance. Empty: it asks for something else.
func Operation(r *http.Request) string {
	const resources = "/subscriptions"
	if p := r.URL.Path; len(p) >= len(resources) && strings.EqualFold(p[:len(resources)], resources) { // nearly all calls
		return ""
	}
	if what := asked(segments(r)); what != "" {
		return r.Method + " " + what
	}
	return ""
}

func segments(r *http.Request) []string {
	return strings.Split(strings.Trim(strings.ToLower(r.URL.Path), "/"), "/")
}

func asked(parts []string) string {
	last := parts[len(parts)-1]
	at := func(n int) string { return parts[max(0, len(parts)-n)] }
	switch whole := strings.Join(parts, "/"); {
	case whole == "metadata/endpoints":
		return endpoints
	case whole == "metadata/identity/oauth2/token":
		return machineToken
	case parts[0] == "metadata" && len(parts) > 1:
		return imds + parts[1]
	case whole == "common/discovery/instance":
		return discovery
	case last == "openid-configuration":
		return openID
	case last == "keys" && len(parts) >= 3 && parts[1] == "discovery":
		return keys
	case last == "token" && (len(parts) >= 3 && at(3) == "oauth2" || len(parts) >= 2 && at(2) == "oauth2"):
		return token
	}
	return ""
}

// OfMachine reports whether an operation is of the metadata service.
func OfMachine(operation string) bool { return strings.Contains(operation, " "+imds) }

// OfToken reports whether an operation is for a token of the metadata service, which counts these apart.
func OfToken(operation string) bool { return strings.HasSuffix(operation, " "+machineToken) }

// Caller is who says to ask, for the call log: the client of a token service, the identity that a machine wants a token of. Empty: nobody says.
func Caller(r *http.Request, operation string) string {
	switch _, what, _ := strings.Cut(operation, " "); what {
	case token:
		return clientOf(r)
	case machineToken:
		return identityOf(r)
	}
	return ""
}

// identityOf is the identity that a machine wants a token of: the one that is named, or its own.
func identityOf(r *http.Request) string {
	if client := r.URL.Query().Get("client_id"); client != "" {
		return client
	}
	return arm.Derived("identity", "system")
}
