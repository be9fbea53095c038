package azure

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/azure/throttle"
)

// limit draws on the gateway's budgets and then on the provider's; all headers are told on success too. A fault that throttles, if there is one, is what a
// budget without tokens is: of the gateway, or of the provider for what the gateway lets pass.
func (t *Twin) limit(r *request, f *Fault) *arm.Error {
	rejected := t.draw(r, f)
	switch {
	case rejected == nil:
		return nil
	case rejected.Forced:
		if e := t.refused(r, f, rejected); e != nil {
			return e
		}
		return t.limit(r, nil)
	}
	r.Call.Throttled = r.group(rejected)
	return rejected.Answer(t.clock, r.subject)
}

// refused is what a fault has a call answered; nil: it has ended meanwhile.
func (t *Twin) refused(r *request, f *Fault, rejected *throttle.Rejection) *arm.Error {
	hit, ok := t.faults.struck(f, r.Call)
	if !ok {
		return nil
	}
	e := rejected.Answer(t.clock, r.subject)
	e.Code, e.Message = cmp.Or(hit.Code, e.Code), cmp.Or(hit.Message, e.Message)
	return hit.after(e)
}

// group names the budget that let a call not pass.
func (*request) group(rejected *throttle.Rejection) string {
	if rejected.Gateway {
		return throttle.GatewayGroup(rejected.Policy)
	}
	return rejected.Policy
}

// gatewayGroup is the budget of the gateway that the fault names; empty: it names none.
func (f *Fault) gatewayGroup() string {
	for _, kind := range throttle.GatewayKinds() {
		if strings.EqualFold(f.OperationGroup, throttle.GatewayGroup(kind)) {
			return kind
		}
	}
	return ""
}

// refusal is the budget that has nothing left for the call: the one that is named, of those that count it the provider's, or else the gateway's.
func (f *Fault) refusal(t *Twin, r *request) *throttle.Refusal {
	out := &throttle.Refusal{Policy: throttle.GatewayGroup(throttle.Budget(r.Method)), Wait: arm.Told(t.clock, cmp.Or(max(f.RetryAfter, 0), defaultRetryAfter))}
	if f.gatewayGroup() == "" {
		for _, p := range t.options.Policy.Of(r.Call.Operation) {
			if f.OperationGroup == "" && p.Subscription != nil || f.counts(p) {
				out.Policy = p.Policy
				break
			}
		}
	}
	return out
}

// draw draws on the budgets of a call and tells what is left of them.
func (t *Twin) draw(r *request, f *Fault) *throttle.Rejection {
	r.subject.Refuse = nil
	if f != nil {
		r.subject.Refuse = f.refusal(t, r)
	}
	left, rejected := t.throttle.Gateway(r.subject, throttle.Budget(r.Method))
	for _, b := range left {
		r.tell(b.Header, strconv.Itoa(b.Left))
	}
	t.calls.leaves(r.Call, left)
	if rejected != nil || len(t.options.Policy.Of(r.Call.Operation)) == 0 {
		return rejected
	}
	var resource string
	r.subject.Location, resource = t.about(r)
	r.Call.Location = r.subject.Location
	left, rejected = t.throttle.Provider(r.subject, r.Call.Operation, resource)
	t.remaining(r, left)
	t.calls.leaves(r.Call, left)
	return rejected
}

func (t *Twin) remaining(r *request, left []throttle.Remaining) {
	if len(left) == 0 {
		return
	}
	const header = "x-ms-ratelimit-remaining-resource"
	var values []string
	var buf [128]byte
	joined := buf[:0]
	for i, b := range left {
		if i > 0 && t.options.MultiHeader {
			values, joined = append(values, string(joined)), joined[:0]
		} else if i > 0 {
			joined = append(joined, ',')
		}
		joined = strconv.AppendInt(append(append(joined, b.Header...), ';'), int64(b.Left), 10)
	}
	r.tell(header, string(joined))
	if values != nil {
		r.w.Header()[header] = append(values, string(joined))
	}
	r.tell("x-ms-request-charge", "1")
}

// about tells where what a call is about is, and which resource a provider counts it for; either may be empty.
func (t *Twin) about(r *request) (location, resource string) {
	view, id := t.store.View(), r.ID
	if r.Call.Poll { // it is about what the operation works on
		if op, ok := view.Find(id.Name()); ok {
			id = op.Target
		}
	}
	of, ok := throttle.Resource(id)
	switch {
	case ok && !r.Call.Poll && len(of.Types) == len(r.ID.Types): // the resource itself
		resource = r.Key()
		if d := r.There(view); d != nil && d.Region != "" {
			return d.Region, resource
		}
	case ok:
		resource = of.Key()
	}
	if location = whereIs(view, r.ID); location == "" && r.Method == http.MethodPut {
		location = said(r.Request.Request)
	}
	return location, resource
}

// whereIs is the location of a resource, which is that of what it is in where it has none, or the one that a path names; empty: neither.
func whereIs(v state.View, id arm.ID) string {
	if len(id.Names) > 0 && strings.EqualFold(id.Types[0], "locations") {
		return arm.Location(id.Names[0])
	}
	for n := len(id.Names); n > 0; n-- {
		if d := v.Get(id.Top(n)); d != nil && d.Region != "" {
			return d.Region
		}
	}
	return ""
}

// maxPeek is more than anybody has before the location of a document.
const maxPeek = 4 << 20

// said is the location in the body of a request, which is read again by whoever answers it.
func said(r *http.Request) string {
	if r.Body == nil {
		return ""
	}
	var b bytes.Buffer
	_, err := b.ReadFrom(io.LimitReader(r.Body, maxPeek))
	rest := io.Reader(r.Body)
	if err != nil { // whoever reads it again is told so as well
		rest = unread{err}
	}
	r.Body = &peeked{io.MultiReader(bytes.NewReader(b.Bytes()), rest), r.Body}
	var doc struct{ Location string }
	_ = json.Unmarshal(b.Bytes(), &doc)
	return arm.Location(doc.Location)
}

// peeked is a body that somebody has looked into.
type peeked struct {
	io.Reader
	io.Closer
}

// unread is what could not be read.
type unread struct{ err error }

func (f unread) Read([]byte) (int, error) { return 0, f.err }

// draws lets what a deployment writes and polls cost its caller's budgets at the resource providers, as calls do: to them it is one more client. The
// gateway's budgets are of calls that come from outside (learn.microsoft.com "Throttling Resource Manager requests").
func draws(v state.View, m *throttle.Meters) deploy.Draw {
	return func(caller arm.Call, operation string, id arm.ID, location string) (time.Duration, *arm.Error) {
		s := throttle.Subject{Subscription: caller.Subscription, Principal: caller.Principal, Region: caller.Region, Location: cmp.Or(whereIs(v, id), arm.Location(location))}
		of, _ := throttle.Resource(id)
		if _, rejected := m.Provider(s, operation, of.Key()); rejected != nil {
			return rejected.Wait, rejected.Answer(v.Clock(), s)
		}
		return 0, nil
	}
}
