package azure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Error is a failed call as Azure Resource Manager answers it.
type Error struct {
	Status  int               // HTTP
	Code    string            // machine-readable
	Message string            // for people
	Target  string            // what it is about
	Details []Error           // further errors; Status and Header of these mean nothing
	Inner   string            // innererror.internalErrorCode
	Header  map[string]string // further headers
	Gateway bool              // the gateway's own failure, not a resource provider's: x-ms-failure-cause
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// body is the JSON of the error.
func (e *Error) body() map[string]any {
	out := map[string]any{"code": e.Code, "message": e.Message}
	if e.Target != "" {
		out["target"] = e.Target
	}
	var details []any
	for i := range e.Details {
		details = append(details, e.Details[i].body())
	}
	if details != nil {
		out["details"] = details
	}
	if e.Inner != "" {
		out["innererror"] = map[string]any{"internalErrorCode": e.Inner}
	}
	return out
}

func (e *Error) write(w http.ResponseWriter) {
	for k, v := range e.Header {
		w.Header()[k] = []string{v}
	}
	if e.Gateway {
		w.Header()["x-ms-failure-cause"] = []string{"gateway"}
	}
	reply(w, e.Status, map[string]any{"error": e.body()})
}

// errorf makes an error of a resource provider.
func errorf(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// gatewayf makes an error of the gateway.
func gatewayf(status int, code, format string, args ...any) *Error {
	e := errorf(status, code, format, args...)
	e.Gateway = true
	return e
}

func notFound(id ID) *Error {
	switch {
	case id.Provider == "" && len(id.Types) > 0 && id.Types[0] == "resourceGroups":
		return gatewayf(http.StatusNotFound, "ResourceGroupNotFound", "Resource group '%s' could not be found.", id.ResourceGroup)
	case len(id.Names) > 1:
		parent := id.top(1)
		return errorf(http.StatusNotFound, "NotFound", "The entity was not found: %s '%s' of %s '%s'.", id.Types[len(id.Types)-1], id.Name(), parent.Types[0], parent.Names[0])
	default:
		return gatewayf(http.StatusNotFound, "ResourceNotFound",
			"The Resource '%s/%s' under resource group '%s' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix", id.Type(), id.Name(), id.ResourceGroup)
	}
}

func notAllowed(r *request) *Error {
	return errorf(http.StatusMethodNotAllowed, "MethodNotAllowed", "The HTTP method '%s' is not supported at scope '%s'.", r.Method, r.URL.Path)
}

// throttled turns a rejection into the answer clients get.
func throttled(c Clock, r *Rejection, call *Call) *Error {
	after := seconds(c, r.Wait)
	e := &Error{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": strconv.Itoa(after)}}
	if r.Gateway {
		e.Gateway, e.Code = true, "SubscriptionRequestsThrottled"
		kind := strings.TrimSuffix(r.Policy, "s")
		switch {
		case r.Limit.Window > 0:
			e.Message = fmt.Sprintf("Number of %s requests for subscription '%s' exceeded the limit of '%d' for time interval '%s'. Please try again after '%d' seconds.",
				kind, call.Subscription, r.Limit.Capacity, clockText(r.Limit.Window), after)
		case r.Scope == "tenant":
			e.Code = "TenantRequestsThrottled"
			e.Message = fmt.Sprintf("Number of '%s' requests for tenant actor '%s' exceeded. Please try again after '%d' seconds after additional tokens are available. Refer to https://aka.ms/arm-throttling for additional information.",
				kind, call.Principal, after)
		default:
			e.Message = fmt.Sprintf("Number of '%s' requests for subscription '%s' actor '%s' exceeded. Please try again after '%d' seconds after additional tokens are available. Refer to https://aka.ms/arm-throttling for additional information.",
				kind, call.Subscription, call.Principal, after)
		}
		return e
	}
	provider, group, _ := strings.Cut(r.Policy, "/")
	if strings.EqualFold(provider, "Microsoft.Network") {
		e.Code, e.Message = "TooManyRequests", "The server rejected the request because too many requests have been received for this subscription."
		return e
	}
	if !strings.EqualFold(provider, "Microsoft.Compute") {
		e.Code = "ResourceRequestsThrottled"
		span := max(r.Limit.Window, r.Limit.Per)
		e.Message = fmt.Sprintf("Number of requests for action '%s' exceeded the limit of '%d' for time interval '%s'. Please try again after '%d' seconds.", r.Policy, r.Allowed, clockText(span), after)
		return e
	}
	detail, err := json.Marshal(map[string]any{
		"operationGroup": group, "startTime": timestamp(r.Start), "endTime": timestamp(r.End), "allowedRequestCount": r.Allowed, "measuredRequestCount": r.Measured,
	})
	if err != nil {
		detail = []byte("{}")
	}
	e.Code, e.Message, e.Inner = "OperationNotAllowed", "The server rejected the request because too many requests have been received for this subscription.", "TooManyRequestsReceived"
	e.Details = []Error{{Code: "TooManyRequests", Target: group, Message: string(detail)}}
	return e
}

// clockText is a duration as hh:mm:ss.
func clockText(d interface{ Seconds() float64 }) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

func reply(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		status, raw = http.StatusInternalServerError, []byte(`{"error":{"code":"InternalServerError","message":"the twin could not write its answer"}}`)
	}
	replyRaw(w, status, raw)
}

func replyRaw(w http.ResponseWriter, status int, raw []byte) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json; charset=utf-8"}
	h["Content-Length"] = []string{strconv.Itoa(len(raw))}
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}
