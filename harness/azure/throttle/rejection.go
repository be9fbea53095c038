package throttle

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

// Rejection is a call that a limit did not let pass.
type Rejection struct {
	Gateway    bool   // by the gateway; else by the resource provider
	Forced     bool   // by a fault; else the budget had nothing left
	Policy     string // reads, Microsoft.Compute/HighCostGet
	Scope      string // principal, global, tenant, subscription, resource
	Wait       time.Duration
	Allowed    int
	Measured   int
	Start, End time.Time
	Limit      Limit
}

// Answer is what clients get: the 429 of the layer that did not let the call pass, in its words.
func (r *Rejection) Answer(c arm.Clock, s Subject) *arm.Error {
	after := arm.Seconds(c, r.Wait)
	e := &arm.Error{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": strconv.Itoa(after)}}
	if r.Gateway {
		e.Gateway, e.Code = true, "SubscriptionRequestsThrottled"
		kind := strings.TrimSuffix(r.Policy, "s")
		switch {
		case r.Limit.Window > 0:
			e.Message = fmt.Sprintf("Number of %s requests for subscription '%s' exceeded the limit of '%d' for time interval '%s'. Please try again after '%d' seconds.",
				kind, s.Subscription, r.Limit.Capacity, clockText(r.Limit.Window), after)
		case r.Scope == "tenant":
			e.Code = "TenantRequestsThrottled"
			e.Message = fmt.Sprintf("Number of '%s' requests for tenant actor '%s' exceeded. Please try again after '%d' seconds after additional tokens are available. Refer to https://aka.ms/arm-throttling for additional information.",
				kind, s.Principal, after)
		default:
			e.Message = fmt.Sprintf("Number of '%s' requests for subscription '%s' actor '%s' exceeded. Please try again after '%d' seconds after additional tokens are available. Refer to https://aka.ms/arm-throttling for additional information.",
				kind, s.Subscription, s.Principal, after)
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
		"operationGroup": group, "startTime": arm.Timestamp(r.Start), "endTime": arm.Timestamp(r.End), "allowedRequestCount": r.Allowed, "measuredRequestCount": r.Measured,
	})
	if err != nil {
		detail = []byte("{}")
	}
	e.Code, e.Message, e.Inner = "OperationNotAllowed", "The server rejected the request because too many requests have been received for this subscription.", "TooManyRequestsReceived"
	e.Details = []arm.Error{{Code: "TooManyRequests", Target: group, Message: string(detail)}}
	return e
}

// clockText is a duration as hh:mm:ss.
func clockText(d interface{ Seconds() float64 }) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}
