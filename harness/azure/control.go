package azure

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/cluster"
)

// control serves what tests and people do to a twin behind its clients' backs: clock, faults, operations, state, call log, metrics.
// It is on a listener of its own, so that no client of the gateway can reach it, and behind a guard of its own, so that no page in a browser can.
func (t *Twin) control() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, do func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 64<<20)
			body, err := do(r)
			var usage *cluster.UsageError
			switch {
			case errors.As(err, &usage):
				arm.Reply(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
			case err != nil:
				arm.Reply(w, http.StatusInternalServerError, map[string]any{"error": err.Error()})
			default:
				arm.Reply(w, http.StatusOK, body)
			}
		})
	}
	handle("GET /_twin/clock", func(*http.Request) (any, error) { return map[string]any{"now": t.clock.Now()}, nil })
	handle("POST /_twin/clock", t.advance)
	handle("GET /_twin/faults", func(*http.Request) (any, error) { return t.Faults(), nil })
	handle("POST /_twin/faults", t.armFault)
	handle("DELETE /_twin/faults", t.disarm)
	handle("POST /_twin/operations", t.setTiming)
	handle("GET /_twin/state", func(*http.Request) (any, error) { return t.State(), nil })
	handle("PUT /_twin/state", func(r *http.Request) (any, error) {
		var s State
		if err := strict(r, &s); err != nil {
			return nil, err
		}
		return map[string]any{"resources": len(s.Resources)}, t.Load(s)
	})
	handle("GET /_twin/calls", t.selectCalls)
	handle("DELETE /_twin/calls", func(*http.Request) (any, error) { t.calls.Reset(); return map[string]any{}, nil })
	handle("GET /_twin/unanswered", func(*http.Request) (any, error) { return t.calls.Unanswered(), nil })
	handle("GET /_twin/summary", func(*http.Request) (any, error) { return t.calls.Summary(), nil })
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{t})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

func strict(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return cluster.Usagef("the request is no JSON of this kind: %w", err)
	}
	return nil
}

// selectCalls gives the calls from a number on that fit all that is asked for, and the number to ask from next.
func (t *Twin) selectCalls(r *http.Request) (any, error) {
	q := r.URL.Query()
	since, err := strconv.Atoi(cmp.Or(q.Get("since"), "0"))
	if err != nil {
		return nil, cluster.Usagef("since is %q: the number of a call", q.Get("since"))
	}
	if o := q.Get("operation"); o != "" {
		if err := throttle.CheckOperations([]string{o}); err != nil {
			return nil, &cluster.UsageError{Err: err}
		}
	}
	if o := q.Get("outcome"); o != "" && !slices.Contains(Outcomes(), o) {
		return nil, cluster.Usagef("outcome is %q; known: %s", o, strings.Join(Outcomes(), ", "))
	}
	calls, next := t.calls.Since(since)
	calls = slices.DeleteFunc(calls, func(c arm.Call) bool {
		return q.Has("operation") && !throttle.Matches(q.Get("operation"), c.Operation) || q.Has("principal") && c.Principal != q.Get("principal") ||
			q.Has("outcome") && outcome(c) != q.Get("outcome") || q.Has("fault") && c.Fault != q.Get("fault")
	})
	return map[string]any{"calls": calls, "next": next}, nil
}

// advance moves a virtual clock.
func (t *Twin) advance(r *http.Request) (any, error) {
	var p struct {
		Advance string `json:"advance"`
	}
	if err := strict(r, &p); err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(p.Advance)
	if err != nil || d < 0 {
		return nil, cluster.Usagef("advance is %q: a duration, such as 30s", p.Advance)
	}
	c, ok := t.clock.(*arm.VirtualClock)
	if !ok {
		return nil, cluster.Usagef("only a virtual clock can be advanced: start the twin with --clock virtual")
	}
	now := c.Advance(d)
	t.store.Settle()
	return map[string]any{"now": now}, nil
}

// setTiming changes how a type's operations run: {"type","form","create":"1s"-like pairs}.
func (t *Twin) setTiming(r *http.Request) (any, error) {
	var p struct {
		Type       string `json:"type"`
		Form       string `json:"form"`
		Lasts      string `json:"lasts"`
		RetryAfter string `json:"retryAfter"`
	}
	if err := strict(r, &p); err != nil {
		return nil, err
	}
	change := state.Timing{Form: p.Form}
	if p.Form != "" && p.Form != state.FormAsync && p.Form != state.FormLocation && p.Form != state.FormBoth {
		return nil, cluster.Usagef("form is %q; known: %s, %s, %s", p.Form, state.FormAsync, state.FormLocation, state.FormBoth)
	}
	if p.Type == "" {
		return nil, cluster.Usagef("type is missing: Microsoft.Compute/virtualMachines, say")
	}
	if p.Lasts != "" {
		d, err := time.ParseDuration(p.Lasts)
		if err != nil || d <= 0 {
			return nil, cluster.Usagef("lasts is %q: a duration, such as 30s", p.Lasts)
		}
		s := state.Span{Min: d, Max: d}
		change.Create, change.Update, change.Delete, change.Action = s, s, s, s
	}
	if p.RetryAfter != "" {
		d, err := time.ParseDuration(p.RetryAfter)
		if err != nil {
			return nil, cluster.Usagef("retryAfter is %q: a duration, or -1s for none", p.RetryAfter)
		}
		change.RetryAfter = state.Retry{Write: d, Delete: d, Poll: d}
	}
	t.SetTiming(p.Type, change)
	return t.store.View().Timing(p.Type), nil
}

// SetTiming changes how the operations of a type run; what is left empty stays.
func (t *Twin) SetTiming(typ string, change state.Timing) { t.store.SetTiming(typ, change) }

// admitOnly adds to the subscriptions there are.
func (t *Twin) admitOnly(subscriptions []string) {
	t.onlyMu.Lock()
	defer t.onlyMu.Unlock()
	if len(subscriptions) > 0 && t.only == nil {
		t.only = map[string]bool{}
	}
	for _, id := range subscriptions {
		t.only[strings.ToLower(id)] = true
	}
}

// subscription reports whether there is one of that id; a call for none in particular may always be made.
func (t *Twin) subscription(id string) bool {
	t.onlyMu.RLock()
	defer t.onlyMu.RUnlock()
	return len(t.only) == 0 || id == "" || t.only[strings.ToLower(id)]
}

// collector gives the call log's counts to Prometheus.
type collector struct{ twin *Twin }

// Describe sends nothing: the metrics are told as they are found.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the counts.
func (c collector) Collect(out chan<- prometheus.Metric) {
	desc := prometheus.NewDesc("drydock_arm_calls_total", "Calls by operation, budget, principal and what became of them.", []string{"operation", "budget", "principal", "outcome"}, nil)
	for _, r := range c.twin.calls.Summary() {
		for outcome, n := range map[string]int{"ok": r.OK, "throttled": r.Throttled, "fault": r.Faults, "failed": r.Failed} {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), r.Operation, r.Budget, r.Principal, outcome)
		}
	}
	resources := prometheus.NewDesc("drydock_arm_resources", "Resources there are.", nil, nil)
	out <- prometheus.MustNewConstMetric(resources, prometheus.GaugeValue, float64(c.twin.store.View().Size()))
	lost := prometheus.NewDesc("drydock_arm_exchanges_lost_total", "Exchanges that went through a proxy and could not be recorded.", nil, nil)
	out <- prometheus.MustNewConstMetric(lost, prometheus.CounterValue, float64(c.twin.lost.Load()))
}

// String names the twin by what it throttles by.
func (t *Twin) String() string {
	return fmt.Sprintf("twin of Azure Resource Manager, %s policy", t.options.Policy.Name)
}
