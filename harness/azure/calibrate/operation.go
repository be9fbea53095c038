package calibrate

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// run is a long-running operation, as its client saw it.
type run struct {
	target   string // what a provider counts calls about it for
	typ      string
	verb     string // create, update, delete or action
	begun    float64
	answered float64
	told     wait   // with the answer that began it
	polls    []wait // with each that said that it runs
	form     string
	at       string // the collection below the provider's locations; empty: told elsewhere

	running   float64 // when it was last heard to run
	over      float64 // when it was first heard to be over; 0: it was not
	status    string
	lasted    float64 // s, as the service says; below 0: it says nothing
	throttled int     // polls that were
}

// wait is a Retry-After; told is false where there is none.
type wait struct {
	after time.Duration
	told  bool
}

func waitOf(c *call) wait {
	after, told := c.after()
	return wait{after, told}
}

// status is the body of a poll by Azure-AsyncOperation.
type status struct {
	Status             string
	StartTime, EndTime time.Time
}

// tracker follows operations from the answer that began them to the poll that said how they ended.
type tracker struct {
	runs   []*run
	byPath map[string]*run // of a URL that tells of one: its path in lower case
	bodies map[string]int  // of a type: writes that were told to run by the resource's own state only
}

func track(calls []*call) *tracker {
	t := &tracker{byPath: map[string]*run{}, bodies: map[string]int{}}
	for _, c := range calls {
		if r := t.byPath[pathOf(c.URL)]; r != nil && c.Method == http.MethodGet {
			c.resource = r.target
			r.polled(c)
			continue
		}
		t.begin(c)
	}
	return t
}

// pathOf is what tells a poll's URL from others: parameters are hidden in a recording where they sign.
func pathOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	return strings.ToLower(u.Host + u.Path)
}

// begin notes the operation that a call began; others begin none.
func (t *tracker) begin(c *call) {
	if c.Method == http.MethodGet || c.Method == http.MethodHead || c.Status >= 300 {
		return
	}
	async, location := c.Response.Get("Azure-Asyncoperation"), c.Response.Get("Location")
	if async == "" && c.Status != http.StatusAccepted && !polled(location) {
		location = "" // where the resource is
	}
	verb, typ, _ := strings.Cut(c.operation, " ")
	if async == "" && location == "" {
		if unfinished(c.Got) {
			t.bodies[typ]++
		}
		return
	}
	r := &run{target: c.resource, typ: typ, verb: strings.ToLower(verb), begun: c.begun, answered: c.ended, told: waitOf(c), form: state.FormBoth, lasted: -1}
	if verb == "POST" {
		r.verb = "action"
		if c.id.Collection() {
			r.typ = c.id.Parent().Type()
		}
	}
	switch {
	case location == "":
		r.form = state.FormAsync
	case async == "":
		r.form = state.FormLocation
	}
	for _, u := range []string{async, location} {
		if path := pathOf(u); path != "" {
			t.byPath[path] = r
			if r.at == "" && (async == "" || u == async) {
				r.at = place(u)
			}
		}
	}
	t.runs = append(t.runs, r)
}

// polled reports whether a URL is one where an operation is asked after.
func polled(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	id, ok := arm.ParseID(u.Path)
	return ok && id.Poll() != ""
}

// place is the collection below a provider's locations.
func place(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	parts := strings.Split(u.Path, "/")
	at := slices.IndexFunc(parts, func(p string) bool { return strings.EqualFold(p, "locations") })
	if at < 0 || len(parts) < at+3 {
		return ""
	}
	return parts[at+2]
}

// unfinished reports whether a resource says that it is not ready.
func unfinished(body string) bool {
	var r struct {
		Properties struct{ ProvisioningState string }
	}
	if json.Unmarshal([]byte(body), &r) != nil {
		return false
	}
	s := r.Properties.ProvisioningState
	return s != "" && !terminal(s)
}

func terminal(s string) bool {
	return slices.ContainsFunc([]string{arm.Succeeded, arm.Failed, arm.Canceled}, func(t string) bool { return strings.EqualFold(s, t) })
}

// polled notes what a poll told.
func (r *run) polled(c *call) {
	if r.over > 0 {
		return
	}
	var s status
	if c.Got != "" {
		_ = json.Unmarshal([]byte(c.Got), &s) // of a poll by Location it is the resource
	}
	switch {
	case c.Status == http.StatusTooManyRequests:
		r.throttled++
	case c.Status >= 500 || c.Status == http.StatusRequestTimeout || c.Status == http.StatusUnauthorized:
	case c.Status == http.StatusAccepted || c.Status == http.StatusOK && s.Status != "" && !terminal(s.Status):
		r.running = c.begun
		r.polls = append(r.polls, waitOf(c))
	default:
		r.over, r.status = c.ended, arm.Succeeded
		switch {
		case c.Status >= 400:
			r.status = arm.Failed
		case s.Status != "":
			r.status = s.Status
		}
		if !s.StartTime.IsZero() && !s.EndTime.Before(s.StartTime) {
			r.lasted = s.EndTime.Sub(s.StartTime).Seconds()
		}
	}
}

// bounds are what the polls show of how long it took.
func (r *run) bounds() (low, high float64) {
	return max(0, r.running-r.answered), r.over - r.begun
}

// apart is by how many seconds the service's word may differ from what the polls show; its times are its own clock's.
const apart = 2

// took is how long it took, and how far that may be off: by the service's own times, or, where it tells none or its clock runs otherwise than the
// recorder's, by the polls.
func (r *run) took() (lasted, off float64, told bool) {
	low, high := r.bounds()
	if r.lasted >= 0 && r.lasted >= low-apart && r.lasted <= high+apart {
		return r.lasted, 0, true
	}
	return (low + high) / 2, (high - low) / 2, false
}
