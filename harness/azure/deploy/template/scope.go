package template

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Scope is what expressions see.
type Scope struct {
	Parameters map[string]any // their values
	Variables  map[string]any // as they are written; each is evaluated once, when it is asked for
	Functions  []any          // the template's own, as it has them

	// What a scope is without stays nil: a function that tells it is refused there.
	Tenant, ManagementGroup, Subscription, ResourceGroup, Deployment map[string]any

	Environment map[string]any // nil: the public cloud's
	Deployer    map[string]any // who deploys
	Now         time.Time      // for utcNow

	// Reference gives the properties of a resource, by id, by its name in the template or by its symbol, or all of it; nil: references are not allowed here.
	Reference func(id string, full bool) (any, error)
	// References gives a loop's resources, by its symbol.
	References func(symbol string, full bool) (any, error)
	// List asks a resource's action whose name begins with list.
	List func(action, id string, values any) (any, error)
	// ResourceID makes the id of a resource: subscription and group may be empty, for the deployment's own.
	ResourceID func(subscription, group, typ string, names []string) (string, error)
	// Provider is the document of a resource provider; nil: there is none of that namespace.
	Provider func(namespace string) map[string]any
	// Zones tells how many availability zones a type has in a region.
	Zones func(provider, typ, location string) int

	// At is where what is evaluated stands, for mistakes that tell it.
	At Place

	copies  []copied
	place   place
	lambdas map[string]any // variables of the lambdas around
	busy    []string       // variables that are being evaluated
	state   *state
}

// place is where an expression stands: not every function is expected everywhere.
type place int

const (
	anywhere     place = iota
	aVariable          // no reference, no copy of a resource
	aDefault           // of a parameter: newGuid and utcNow, no variables
	aUserDefined       // only its own parameters
)

// copied is a loop that is being unrolled.
type copied struct {
	named bool // told by its name only
	name  string
	at    int
}

// state is what all scopes of a template share.
type state struct {
	functions map[string]function
	parsed    map[string]node
	variables map[string]outcome
	calls     int // functions that were called
	made      int // about how much JSON was made
	depth     int // user-defined functions within each other
}

type outcome struct {
	value any
	err   error
}

// The limits of one template. The service's own: a text within an expression has 131,072 characters
// (github.com/Azure/azure-monitor-baseline-alerts#62 has the error), a template with everything evaluated 4 MB
// (learn.microsoft.com "ARM template best practices"). How long the service computes is not told; a bound there must be.
const (
	maxLiteral = 131_072
	maxValue   = 4 << 20
	maxMade    = 256 << 20
	maxCalls   = 1_000_000
	maxNesting = 100
)

// shared gives what all scopes of the template share.
func (s *Scope) shared() *state {
	if s.state == nil {
		s.state = &state{functions: table(), parsed: map[string]node{}, variables: map[string]outcome{}}
	}
	return s.state
}

// Loop gives the scope of one turn of a loop.
func (s *Scope) Loop(name string, at int) *Scope {
	s.shared()
	inner := *s
	inner.copies = append(slices.Clone(s.copies), copied{name: name, at: at})
	return &inner
}

// within gives a scope for an expression of another place.
func (s *Scope) within(p place) *Scope {
	s.shared()
	inner := *s
	inner.place, inner.Reference, inner.References, inner.List, inner.lambdas, inner.copies = p, nil, nil, nil, nil, nil
	return &inner
}

// charge notes that a value was made; an error: the template makes too much.
func (s *Scope) charge(v any, deep bool) error {
	n := 4
	switch x := v.(type) {
	case string:
		n = len(x)
		if u := len(units(x)); n >= maxLiteral && u >= maxLiteral {
			return errorf("The template language expression literal limit exceeded. Limit: '%d' and actual: '%d'. Please see https://aka.ms/arm-functions for usage details.", maxLiteral, u)
		}
	case []any:
		n = 8 * len(x)
	case map[string]any:
		n = 16 * len(x)
	}
	if deep {
		if n = size(v, maxValue); n > maxValue {
			return errorf("The size of the template exceeds the limit of '%d' bytes: it applies to the final state of the template, with its loops and the values of variables and parameters. Please see https://aka.ms/arm-deployment-limits for usage details.", maxValue)
		}
	}
	if s.shared().made += n; s.state.made > maxMade {
		return errorf("The template language expressions made more than '%d' bytes. Please see https://aka.ms/arm-deployment-limits for usage details.", maxMade)
	}
	return nil
}

// Variable evaluates a variable, once for the whole template.
func (s *Scope) Variable(name string) (any, error) {
	key, memo := strings.ToLower(name), s.shared().variables
	if o, ok := memo[key]; ok {
		return o.value, o.err
	}
	if slices.Contains(s.busy, key) {
		return nil, errorf("Circular dependency detected in template language expression: variables %s.", strings.Join(append(slices.Clone(s.busy), name), " → "))
	}
	inner := s.within(aVariable)
	inner.busy = append(slices.Clone(s.busy), key)
	v, found, err := inner.variable(name)
	if !found {
		return nil, errorf("The template variable '%s' is not found. Please see https://aka.ms/arm-functions/#variables for usage details.", name)
	}
	if err == nil {
		err = s.charge(v, true)
	}
	if err != nil && len(s.busy) == 0 && !errors.Is(err, ErrNotReady) {
		err = errorf("The template variable '%s' is not valid: %v. Please see https://aka.ms/arm-functions for usage details.", name, err)
	}
	if err == nil || len(s.busy) == 0 { // what stands in a circle is told at the variable that was asked for
		memo[key] = outcome{v, err}
	}
	return v, err
}

// variable evaluates one anew. A name may be a path into one, variables('cloudInitFiles.provisionSource'): nobody documents it, and every template of AKS
// Engine's has it (github.com/Azure/aks-engine, pkg/engine/armvariables.go).
func (s *Scope) variable(name string) (v any, found bool, err error) {
	if !s.hasVariable(name) {
		of, member, isPath := strings.Cut(name, ".")
		if !isPath || !s.hasVariable(of) {
			return nil, false, nil
		}
		v, err = s.Variable(of)
		for _, part := range strings.Split(member, ".") {
			if err == nil {
				v, err = property(v, part)
			}
		}
		return v, true, err
	}
	if written, ok := lookup(s.Variables, name); ok && !strings.EqualFold(name, "copy") {
		v, err = s.Eval(written)
		return v, true, err
	}
	loops, _ := s.Variables["copy"].([]any)
	for _, l := range loops {
		if m, ok := l.(map[string]any); ok && strings.EqualFold(text(m["name"]), name) {
			_, v, err = s.loop(m)
			return v, true, err
		}
	}
	return nil, false, nil
}

func (s *Scope) hasVariable(name string) bool {
	if _, ok := lookup(s.Variables, name); ok {
		return true
	}
	loops, _ := s.Variables["copy"].([]any)
	return slices.ContainsFunc(loops, func(l any) bool {
		m, ok := l.(map[string]any)
		return ok && strings.EqualFold(text(m["name"]), name)
	})
}
