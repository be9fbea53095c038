package calibrate

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/proxy"
	"drydock.dev/drydock/harness/azure/throttle"
)

// Owner is whose budget it is. Azure counts each subscription, region and principal apart.
type Owner struct {
	Subscription string `json:"subscription,omitempty"`
	Region       string `json:"region,omitempty"`    // of the gateway, by x-ms-routing-request-id
	Principal    string `json:"principal,omitempty"` // of budgets of one client
	Resource     string `json:"resource,omitempty"`  // of budgets of one resource
}

// call is an exchange with the Resource Manager, as it is counted.
type call struct {
	begun, ended float64 // seconds from the first call: the request went on, and the head of its answer came
	id           arm.ID
	operation    string // VERB type[/action], as policies name it
	owner        Owner  // with the principal
	resource     string // what a limit of one resource counts for; empty: for none
	location     string // where that is, as far as it was heard; empty: it was not
	rejected     *rejection
	proxy.Exchange
}

// reader makes calls of exchanges, in the order of their requests.
type reader struct {
	first   time.Time
	exists  map[string]bool   // of a path in lower case: what was heard of it last
	guessed int               // PUTs of which it is not known whether they made something
	single  map[string]bool   // types whose collections answered as one document
	places  map[string]string // of resources, by their documents
}

func newReader() *reader {
	return &reader{exists: map[string]bool{}, single: map[string]bool{}, places: map[string]string{}}
}

// calls are those of the Resource Manager; others in the recording are those of tokens, metadata and the like.
func (r *reader) calls(all []proxy.Exchange) []*call {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b proxy.Exchange) int { return a.Time.Compare(b.Time) })
	var out []*call
	for _, e := range all {
		u, err := url.Parse(e.URL)
		if err != nil {
			continue
		}
		id, ok := arm.ParseID(u.Path)
		if !ok {
			continue
		}
		if len(out) == 0 {
			r.first = e.Time
		}
		c := &call{begun: e.Time.Sub(r.first).Seconds(), id: id, Exchange: e}
		c.ended = c.begun + e.Seconds
		c.owner = Owner{Subscription: strings.ToLower(id.Subscription), Region: region(e.Response, u.Host), Principal: e.Principal}
		out = append(out, c)
		r.learn(c)
		if id.Collection() && e.Method == http.MethodGet && e.Status == http.StatusOK && !listed(e.Got) {
			r.single[strings.ToLower(id.Type())] = true
		}
	}
	for _, c := range out {
		c.operation = r.operation(c)
		r.about(c)
		if c.Status == http.StatusTooManyRequests {
			c.rejected = rejectionOf(c)
		}
	}
	return out
}

// region is the gateway's, as its answers say; a regional endpoint is named by it.
func region(h http.Header, host string) string {
	if place, _, ok := strings.Cut(h.Get("X-Ms-Routing-Request-Id"), ":"); ok {
		return strings.ToLower(place)
	}
	if place, rest, ok := strings.Cut(host, "."); ok && strings.HasPrefix(rest, "management.") {
		return strings.ToLower(place)
	}
	return ""
}

// listed reports whether a body is a page of a list. One that is not in the recording is taken for one.
func listed(body string) bool {
	var page struct{ Value []json.RawMessage }
	return body == "" || json.Unmarshal([]byte(body), &page) == nil && page.Value != nil
}

// operation names what the call does, as policies select it. Whether a PUT makes something or changes it is known by what was heard of it before.
func (r *reader) operation(c *call) string {
	name, key := c.id.Type(), c.id.Key()
	if poll := c.id.Poll(); poll != "" {
		return "GET " + poll
	}
	ok := c.Status < 300
	switch c.Method {
	case http.MethodGet, http.MethodHead:
		if c.id.Collection() && !r.single[strings.ToLower(name)] {
			return "LIST " + name
		}
		if ok || c.Status == http.StatusNotFound {
			r.exists[key] = ok
		}
		return "GET " + name
	case http.MethodPut:
		there, heard := r.exists[key]
		if !heard && ok {
			there = c.Status == http.StatusOK
			if there {
				r.guessed++
			}
		}
		if ok {
			r.exists[key] = true
		}
		if there && c.Status != http.StatusCreated {
			return "UPDATE " + name
		}
		return "CREATE " + name
	case http.MethodPatch:
		return "UPDATE " + name
	case http.MethodDelete:
		if ok {
			r.exists[key] = false
		}
		return "DELETE " + name
	default:
		return "POST " + name // of an action, its name is the last of the type's
	}
}

// about tells what a provider counts a call for, and where that is: the path says so, or the document of the resource or of what it is in, where one was
// sent or answered.
func (r *reader) about(c *call) {
	if of, ok := throttle.Resource(c.id); ok {
		c.resource = of.Key()
	}
	if len(c.id.Names) > 0 && strings.EqualFold(c.id.Types[0], "locations") {
		c.location = arm.Location(c.id.Names[0])
		return
	}
	for n := len(c.id.Names); n > 0 && c.id.Provider != "" && c.location == ""; n-- {
		c.location = r.places[c.id.Top(n).Key()]
	}
}

// learn notes where resources are.
func (r *reader) learn(c *call) {
	if c.Status >= 300 || c.id.Provider == "" {
		return
	}
	for _, body := range []string{c.Got, c.Sent} {
		var one struct {
			ID, Location string
			Value        []struct{ ID, Location string }
		}
		if body == "" || json.Unmarshal([]byte(body), &one) != nil {
			continue
		}
		if one.Location != "" && !c.id.Collection() {
			r.places[c.id.Key()] = arm.Location(one.Location)
		}
		for _, v := range one.Value {
			if id, ok := arm.ParseID(v.ID); ok && v.Location != "" {
				r.places[id.Key()] = arm.Location(v.Location)
			}
		}
	}
}

func (c *call) budget() string { return throttle.Budget(c.Method) }

// after is what the answer says of Retry-After; false: nothing.
func (c *call) after() (time.Duration, bool) {
	return retryAfter(c.Response, c.Time.Add(time.Duration(c.Seconds*float64(time.Second))))
}

// retryAfter reads seconds or a date; milliseconds are some services' own, and come first with the SDKs (azcore's policy_retry.go).
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	for _, told := range []struct {
		name string
		unit time.Duration
	}{{"Retry-After-Ms", time.Millisecond}, {"X-Ms-Retry-After-Ms", time.Millisecond}, {"Retry-After", time.Second}} {
		if n, err := strconv.Atoi(h.Get(told.name)); err == nil && n >= 0 {
			return time.Duration(n) * told.unit, true
		}
	}
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		return max(0, at.Sub(now)).Round(time.Second), true
	}
	return 0, false
}
