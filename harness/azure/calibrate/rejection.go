package calibrate

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// rejection is what a 429 says of the limit that a call met.
type rejection struct {
	gateway  bool
	policy   string        // of a provider, Microsoft.Compute/HighCostGet; empty: it is not named
	scope    string        // as those of budgets
	allowed  int           // calls; 0: not said
	interval time.Duration // of that; 0: not said
	other    string        // it is no budget's: what it is instead
}

var (
	limitText  = regexp.MustCompile(`exceeded the limit of '(\d+)' for time interval '(\d+):(\d\d):(\d\d)'`)
	actionText = regexp.MustCompile(`requests for action '([^']+)'`)
	spanName   = regexp.MustCompile(`(\d+)Min$`)
)

// problem is an error as Azure writes it, and as the documentation of Microsoft.Compute has it: without the outer object.
type problem struct {
	Error *problem `json:"error"`

	Code    string `json:"code"`
	Message string `json:"message"`
	Details []struct{ Code, Target, Message string }
}

// detail is the JSON in the message of a detail of Microsoft.Compute's.
type detail struct {
	OperationGroup      string
	StartTime, EndTime  time.Time
	AllowedRequestCount int
}

// rejectionOf reads a 429.
func rejectionOf(c *call) *rejection {
	var p problem
	_ = json.Unmarshal([]byte(c.Got), &p) // a body that cannot be read says nothing; the headers may
	if p.Error != nil {
		p = *p.Error
	}
	r := &rejection{}
	if m := limitText.FindStringSubmatch(p.Message); m != nil {
		r.allowed = number(m[1])
		r.interval = time.Duration(number(m[2]))*time.Hour + time.Duration(number(m[3]))*time.Minute + time.Duration(number(m[4]))*time.Second
	}
	left := providerLeft(c.Response)
	switch {
	case strings.Contains(p.Message, "backend storage limit"):
		r.other = "the backend storage limit, which no header counts"
	case p.Code == "RetryableError":
		r.other = "another operation on the same resource, no budget"
	case c.Response.Get("X-Ms-Failure-Cause") == "gateway" || p.Code == "SubscriptionRequestsThrottled" || p.Code == "TenantRequestsThrottled":
		r.gateway, r.scope = true, ofPrincipal
		if c.id.Subscription == "" {
			r.scope = ofTenant
		} else if own, all := gatewayLeft(c, ""), gatewayLeft(c, "global-"); all == 0 && own != 0 {
			r.scope = ofGlobal
		}
	case p.Code == "ResourceRequestsThrottled" && actionText.MatchString(p.Message):
		r.policy, r.scope = actionText.FindStringSubmatch(p.Message)[1], ofSubscription
	default:
		r.byProvider(c, p, left)
	}
	return r
}

// byProvider finds the policy: named in a detail, or the one whose count is at nothing. A policy that names itself while its subscription has calls left is
// one of a resource.
func (r *rejection) byProvider(c *call, p problem, left map[string]int) {
	for _, d := range p.Details {
		var told detail
		if d.Code != "TooManyRequests" || json.Unmarshal([]byte(d.Message), &told) != nil {
			continue
		}
		r.policy, r.scope, r.allowed = c.id.Provider+"/"+d.Target, ofResource, told.AllowedRequestCount
		for policy := range left {
			if strings.HasSuffix(strings.ToLower(policy), "/"+strings.ToLower(d.Target)) {
				r.policy = policy
			}
		}
		if n, told := left[r.policy]; told && n == 0 {
			r.scope = ofSubscription
		}
		if m := spanName.FindStringSubmatch(d.Target); m != nil {
			r.interval, r.scope = time.Duration(number(m[1]))*time.Minute, ofSubscription
		}
		return
	}
	for policy, n := range left {
		if n == 0 {
			r.policy, r.scope = policy, ofSubscription
		}
	}
	if r.policy == "" {
		r.other = "a limit that neither its body nor its headers name"
	}
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// providerLeft is what each of a provider's policies has left, in one header with commas or in several.
func providerLeft(h map[string][]string) map[string]int {
	out := map[string]int{}
	for _, v := range h["X-Ms-Ratelimit-Remaining-Resource"] {
		for one := range strings.SplitSeq(v, ",") {
			policy, count, ok := strings.Cut(strings.TrimSpace(one), ";")
			if n, err := strconv.Atoi(count); ok && err == nil && strings.Contains(policy, "/") {
				out[policy] = n
			}
		}
	}
	return out
}

// gatewayLeft is what is left of one of the gateway's budgets; -1: nothing is told.
func gatewayLeft(c *call, which string) int {
	scope := "Subscription-"
	if c.id.Subscription == "" {
		scope = "Tenant-"
	}
	n, err := strconv.Atoi(c.Response.Get("x-ms-ratelimit-remaining-" + scope + which + c.budget()))
	if err != nil {
		return -1
	}
	return n
}
