package identity

import (
	"cmp"
	"net/http"
	"regexp"
	"strconv"

	"github.com/google/uuid"

	"drydock.dev/drydock/harness/azure/arm"
)

// Failure is that a service does not give what it is asked for.
type Failure struct {
	Status        int    // HTTP
	Code, Message string // empty: those of the service
	RetryAfter    int    // seconds; 0: the service's own, which may be none; below: none
}

// tokenRetryAfter is what the token service tells whom it throttles, in seconds (AzureAD/microsoft-authentication-library-for-dotnet#2855, with the body).
const tokenRetryAfter = 60

// Fail answers as the service of an operation does that cannot.
func (s *Service) Fail(w http.ResponseWriter, operation string, f Failure) {
	throttled := f.Status == http.StatusTooManyRequests
	if f.RetryAfter == 0 && throttled && !OfMachine(operation) {
		f.RetryAfter = tokenRetryAfter
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	switch {
	case OfMachine(operation):
		failMachine(w, operation, f)
	case throttled && f.Code == "" && f.Message == "":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte("Too Many Requests"))
	case f.Status == http.StatusServiceUnavailable: // Azure/azure-sdk-for-python#14241
		s.refuse(w, Failure{Status: f.Status, Code: cmp.Or(f.Code, "temporarily_unavailable"), Message: cmp.Or(f.Message, "AADSTS90033: A transient error has occurred. Please try again.")})
	default: // AzureAD/microsoft-authentication-library-for-js#4329
		s.refuse(w, Failure{Status: f.Status, Code: cmp.Or(f.Code, "server_error"), Message: cmp.Or(f.Message, "AADSTS90041: A transient error has occurred. Please try again.")})
	}
}

// failMachine is the metadata service's: for a token Azure/azure-sdk-for-net#39574 has the body of a 429, which tells nobody when to come again, and
// learn.microsoft.com "How to use managed identities on an Azure VM to acquire an access token" that of a 500. What it says of anything else is not published.
func failMachine(w http.ResponseWriter, operation string, f Failure) {
	code, message := "unknown", "Failed to retrieve token from the Active directory. For details see logs in <file path>"
	if f.Status == http.StatusTooManyRequests {
		code, message = "invalid_request", "Temporarily throttled, too many requests"
	}
	if OfToken(operation) {
		arm.Reply(w, f.Status, map[string]any{"error": cmp.Or(f.Code, code), "error_description": cmp.Or(f.Message, message)})
		return
	}
	arm.Reply(w, f.Status, map[string]any{"error": cmp.Or(f.Message, f.Code, http.StatusText(f.Status))})
}

// lacks refuses a request that says too little.
func (s *Service) lacks(w http.ResponseWriter, parameter string) {
	s.refuse(w, Failure{Status: http.StatusBadRequest, Code: "invalid_request", Message: "AADSTS900144: The request body must contain the following parameter: '" + parameter + "'."})
}

// refuse is an error of the token service, with its number where the message begins with one.
func (s *Service) refuse(w http.ResponseWriter, f Failure) {
	trace, correlation, now := uuid.NewString(), uuid.NewString(), s.options.Clock.Now().UTC().Format("2006-01-02 15:04:05Z")
	body := map[string]any{
		"error": f.Code, "error_description": f.Message + "\r\nTrace ID: " + trace + "\r\nCorrelation ID: " + correlation + "\r\nTimestamp: " + now,
		"timestamp": now, "trace_id": trace, "correlation_id": correlation,
	}
	if m := regexp.MustCompile(`^AADSTS(\d+)`).FindStringSubmatch(f.Message); m != nil {
		n, _ := strconv.Atoi(m[1])
		body["error_codes"] = []int{n}
	}
	arm.Reply(w, f.Status, body)
}
