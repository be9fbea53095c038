package state

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/cluster"
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

// Timings are how the operations of all types run. What a type leaves open is as by default.
type Timings struct {
	Default Timing            `yaml:"default"`
	Types   map[string]Timing `yaml:"types"`
}

// LoadTimings reads a file, which says of some types how their operations run; the others, and what it leaves open, stay as the twin has them.
func LoadTimings(file string) (*Timings, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, cluster.Usagef("timings: %w", err)
	}
	t, err := ParseTimings(raw)
	if err != nil {
		return nil, cluster.Usagef("timings %s: %w", file, err)
	}
	return t, nil
}

// ParseTimings reads timings strictly: an unknown field, form or place, or a range that ends before it begins, is an error.
func ParseTimings(raw []byte) (*Timings, error) {
	t := &Timings{}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(t); errors.Is(err, io.EOF) {
		return nil, errors.New("empty: default or types is wanted")
	} else if err != nil {
		return nil, err
	}
	if err := t.Default.check(); err != nil {
		return nil, fmt.Errorf("default: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Types)) {
		if err := t.Types[name].check(); err != nil {
			return nil, fmt.Errorf("types: %s: %w", name, err)
		}
	}
	return t, nil
}

// Places are the collections, below a provider's locations, where operations can be asked after.
func Places() []string { return []string{"operations", "DiskOperations"} }

func (t Timing) check() error {
	for _, f := range []struct {
		field, value string
		known        []string
	}{{"form", t.Form, []string{FormAsync, FormLocation, FormBoth}}, {"at", t.At, Places()}} {
		if f.value != "" && !slices.Contains(f.known, f.value) {
			return fmt.Errorf("%s is %q; known: %s", f.field, f.value, strings.Join(f.known, ", "))
		}
	}
	for _, s := range []struct {
		field string
		Span
	}{{"create", t.Create}, {"update", t.Update}, {"delete", t.Delete}, {"action", t.Action}} {
		if s.Min < 0 || s.Max < s.Min {
			return fmt.Errorf("%s lasts %s to %s: min may not be below 0, nor max below min", s.field, s.Min, s.Max)
		}
	}
	return nil
}

// over is what a timing says, and another where it says nothing.
func (t Timing) over(common Timing) Timing {
	t.Form, t.At, t.RetryAfter = cmp.Or(t.Form, common.Form), cmp.Or(t.At, common.At), t.RetryAfter.or(common.RetryAfter)
	t.Create, t.Update = cmp.Or(t.Create, common.Create), cmp.Or(t.Update, common.Update)
	t.Delete, t.Action = cmp.Or(t.Delete, common.Delete), cmp.Or(t.Action, common.Action)
	return t
}

// timings are the twin's own, with those of a file put over them; nil: none.
func timings(own *Timings) (*Timings, error) {
	raw, err := fixtures.Azure.ReadFile("azure/operations.yaml")
	if err != nil {
		return nil, fmt.Errorf("operations: %w", err)
	}
	t, err := ParseTimings(raw)
	if err != nil {
		return nil, fmt.Errorf("operations.yaml: %w", err)
	}
	if own == nil {
		return t, nil
	}
	t.Default = own.Default.over(t.Default)
	for name, o := range own.Types {
		t.set(name, o)
	}
	return t, nil
}

// set puts a timing over that of a type, whatever the case of its name.
func (t *Timings) set(typ string, change Timing) {
	for name, was := range t.Types {
		if strings.EqualFold(name, typ) {
			change = change.over(was)
			delete(t.Types, name)
		}
	}
	t.Types[typ] = change
}

// of is the timing of a type.
func (t *Timings) of(typ string) Timing {
	for name, x := range t.Types {
		if strings.EqualFold(name, typ) {
			return x.over(t.Default)
		}
	}
	return t.Default
}

// timingOf is the timing of a type as it is now.
func (o *operations) timingOf(typ string) Timing {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.timing.of(typ)
}

// set changes a type's timing; what is left empty stays.
func (o *operations) set(typ string, change Timing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.timing.set(typ, change)
}
