package state

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"time"

	"drydock.dev/drydock/fixtures"
	"go.yaml.in/yaml/v3"
)

// Span is a range a duration is drawn from.
type Span struct {
	Min time.Duration `yaml:"min" json:"min"`
	Max time.Duration `yaml:"max" json:"max"`
}

// The ways a client is told of a long-running operation.
const (
	FormAsync    = "async"    // Azure-AsyncOperation
	FormLocation = "location" // Location
	FormBoth     = "both"
)

// Timing is how a type's operations run.
type Timing struct {
	Form   string `yaml:"form" json:"form,omitempty"`
	At     string `yaml:"at" json:"at,omitempty"`
	Create Span   `yaml:"create" json:"create"`
	Update Span   `yaml:"update" json:"update"`
	Delete Span   `yaml:"delete" json:"delete"`
	Action Span   `yaml:"action" json:"action"`

	RetryAfter Retry `yaml:"retryAfter" json:"retryAfter"`
}

// Retry is how long a client is told to wait before it asks after an operation (Retry-After). 0: as the default has it; less: nothing is told.
type Retry struct {
	Write  time.Duration `yaml:"write" json:"write"`   // with the answer to a PUT, PATCH or POST
	Delete time.Duration `yaml:"delete" json:"delete"` // with the answer to a DELETE
	Poll   time.Duration `yaml:"poll" json:"poll"`     // with each poll of one that still runs
}

// Start is what the call is told that begins an operation.
func (r Retry) Start(verb string) time.Duration {
	if verb == "delete" {
		return r.Delete
	}
	return r.Write
}

// or takes from another what is left open.
func (r Retry) or(common Retry) Retry {
	return Retry{cmp.Or(r.Write, common.Write), cmp.Or(r.Delete, common.Delete), cmp.Or(r.Poll, common.Poll)}
}

type timings struct {
	Default Timing            `yaml:"default"`
	Types   map[string]Timing `yaml:"types"`
}

func loadTimings() (timings, error) {
	var t timings
	raw, err := fixtures.Azure.ReadFile("azure/operations.yaml")
	if err != nil {
		return t, fmt.Errorf("operations: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&t); err != nil {
		return t, fmt.Errorf("operations.yaml: %w", err)
	}
	return t, nil
}

// of is the timing of a type.
func (o *operations) of(typ string) Timing {
	t, own := Timing{}, false
	for name, x := range o.timing.Types {
		if strings.EqualFold(name, typ) {
			t, own = x, true
		}
	}
	if !own {
		return o.timing.Default
	}
	if t.Form == "" {
		t.Form = o.timing.Default.Form
	}
	if t.At == "" {
		t.At = o.timing.Default.At
	}
	t.RetryAfter = t.RetryAfter.or(o.timing.Default.RetryAfter)
	for _, s := range []struct{ own, common *Span }{
		{&t.Create, &o.timing.Default.Create}, {&t.Update, &o.timing.Default.Update}, {&t.Delete, &o.timing.Default.Delete}, {&t.Action, &o.timing.Default.Action},
	} {
		if *s.own == (Span{}) {
			*s.own = *s.common
		}
	}
	return t
}

// timingOf is the timing of a type as it is now.
func (o *operations) timingOf(typ string) Timing {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of(typ)
}

// set changes a type's timing; what is left empty stays.
func (o *operations) set(typ string, change Timing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.of(typ)
	if change.Form != "" {
		t.Form = change.Form
	}
	t.RetryAfter = change.RetryAfter.or(t.RetryAfter)
	for _, s := range []struct{ own, new *Span }{{&t.Create, &change.Create}, {&t.Update, &change.Update}, {&t.Delete, &change.Delete}, {&t.Action, &change.Action}} {
		if *s.new != (Span{}) {
			*s.own = *s.new
		}
	}
	for name := range o.timing.Types {
		if strings.EqualFold(name, typ) {
			delete(o.timing.Types, name)
		}
	}
	o.timing.Types[typ] = t
}
