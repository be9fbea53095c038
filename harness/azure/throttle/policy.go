package throttle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/cluster"
)

// Limit is a token bucket (capacity, refill, per), a window with a count (capacity, window), or none.
type Limit struct {
	Capacity int           `yaml:"capacity" json:"capacity"`                 // tokens when full, or calls in a window
	Refill   float64       `yaml:"refill,omitempty" json:"refill,omitempty"` // tokens in Per
	Per      time.Duration `yaml:"per,omitempty" json:"per,omitempty"`       // of Refill
	Window   time.Duration `yaml:"window,omitempty" json:"window,omitempty"` // begins with its first call
	// Unlimited says that there is none, of the gateway's, which are all to be named: nothing is counted, and no header tells what is left.
	Unlimited bool `yaml:"unlimited,omitempty" json:"unlimited,omitempty"`
	// RetryAfter is the least that is told with a 429; 0: until a call would pass.
	RetryAfter time.Duration `yaml:"retryAfter,omitempty" json:"retryAfter,omitempty"`
}

// Rate is tokens in a second, of a bucket.
func (l Limit) Rate() float64 { return l.Refill / l.Per.Seconds() }

// span is the time that a limit looks back on: its window, or as long as a bucket takes to fill.
func (l Limit) span() time.Duration {
	if l.Window > 0 {
		return l.Window
	}
	return time.Duration(min(float64(l.Capacity)/l.Rate(), maxSpan.Seconds()) * float64(time.Second))
}

// maxSpan is how far anybody looks back: no limit that is known is for longer than an hour.
const maxSpan = 3 * time.Hour

// Times is a limit so many times as large.
func (l Limit) Times(n int) Limit {
	l.Capacity *= n
	l.Refill *= float64(n)
	return l
}

// String says it in a few words: 250 and 25 each 1s, 1000 in 5m.
func (l Limit) String() string {
	switch {
	case l.Unlimited:
		return "no limit"
	case l.Window > 0:
		return fmt.Sprintf("%d in %s", l.Capacity, Short(l.Window))
	}
	return fmt.Sprintf("%d and %g each %s", l.Capacity, l.Refill, Short(l.Per))
}

// Short is a duration as policies have it, without zeros: 5m, 1h30m.
func Short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (l Limit) check() error {
	switch {
	case l.Unlimited && l != (Limit{Unlimited: true}):
		return errors.New("unlimited goes with nothing else")
	case l.Unlimited:
		return nil
	case l.RetryAfter < 0:
		return fmt.Errorf("retryAfter is %s; 0 or more", l.RetryAfter)
	case l.Capacity < 1:
		return fmt.Errorf("capacity is %d; at least 1", l.Capacity)
	case l.Window > 0 && (l.Refill != 0 || l.Per != 0):
		return errors.New("a window has no refill: give either capacity and window, or capacity, refill and per")
	case l.Window < 0 || l.Per < 0 || l.Refill < 0 || math.IsNaN(l.Refill) || math.IsInf(l.Refill, 0):
		return errors.New("negative")
	case l.Window == 0 && (l.Refill == 0 || l.Per == 0):
		return errors.New("a bucket needs refill and per, a window needs window")
	}
	return nil
}

// Kinds are the gateway's budgets of one scope.
type Kinds struct {
	Reads   Limit `yaml:"reads"`
	Writes  Limit `yaml:"writes"`
	Deletes Limit `yaml:"deletes"`
}

// Of is the limit of a budget: reads, deletes, or else writes.
func (k Kinds) Of(kind string) Limit {
	switch kind {
	case "reads":
		return k.Reads
	case "deletes":
		return k.Deletes
	default:
		return k.Writes
	}
}

// GatewayPolicy is how the gateway counts.
type GatewayPolicy struct {
	Source       string `yaml:"source"`
	Subscription Kinds  `yaml:"subscription"` // of one principal in one subscription
	Tenant       Kinds  `yaml:"tenant"`       // of one principal, for calls without a subscription
	GlobalFactor int    `yaml:"globalFactor"` // all principals of a subscription together, in budgets of one; 0: no such limit
	Instances    int    `yaml:"instances"`    // each with budgets of its own, chosen by connection
}

// ProviderPolicy is one of a resource provider's.
type ProviderPolicy struct {
	Policy       string   `yaml:"policy"`     // Microsoft.Compute/HighCostGet, as the headers name it
	Operations   []string `yaml:"operations"` // VERB type[/action]; verbs GET, LIST, CREATE, UPDATE, DELETE, POST; * for any type below, action or verb
	Resource     *Limit   `yaml:"resource"`
	Subscription *Limit   `yaml:"subscription"`
	Source       string   `yaml:"source"`
}

// MetadataPolicy is how the metadata service counts, for each machine.
type MetadataPolicy struct {
	Source   string `yaml:"source"`
	Instance Limit  `yaml:"instance"`
	Token    Limit  `yaml:"token"`   // of managed identities
	AtATime  int    `yaml:"atATime"` // tokens; 0: any
}

// Policy is what the twin throttles by.
type Policy struct {
	Name      string           `yaml:"name"`
	About     string           `yaml:"about"`
	Hostile   bool             `yaml:"hostile"` // rejected calls count, and early ones lengthen the block
	Gateway   GatewayPolicy    `yaml:"gateway"`
	Providers []ProviderPolicy `yaml:"providers"`
	Metadata  *MetadataPolicy  `yaml:"metadata"` // none: machines may ask as they like

	learning sync.Mutex
	known    atomic.Pointer[map[string][]*ProviderPolicy] // by operation; never changed, but replaced
}

// Policies names the policies there are.
func Policies() []string {
	entries, err := fs.ReadDir(fixtures.Azure, "azure")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), "throttling-"); ok {
			out = append(out, strings.TrimSuffix(name, ".yaml"))
		}
	}
	return out
}

// LoadPolicy reads one of the embedded policies by name, or a file.
func LoadPolicy(nameOrFile string) (*Policy, error) {
	where := nameOrFile
	raw, err := fixtures.Azure.ReadFile("azure/throttling-" + nameOrFile + ".yaml")
	if err != nil {
		raw, err = os.ReadFile(nameOrFile)
	}
	if err != nil {
		return nil, cluster.Usagef("throttling policy %q is neither a file nor one of %s: %w", nameOrFile, strings.Join(Policies(), ", "), err)
	}
	p, err := ParsePolicy(raw)
	if err != nil {
		return nil, cluster.Usagef("throttling policy %s: %w", where, err)
	}
	return p, nil
}

// ParsePolicy reads a policy strictly: an unknown field, a limit without a rate or a policy without operations is an error.
func ParsePolicy(raw []byte) (*Policy, error) {
	p := &Policy{}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(p); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for scope, k := range map[string]Kinds{"subscription": p.Gateway.Subscription, "tenant": p.Gateway.Tenant} {
		for kind, l := range map[string]Limit{"reads": k.Reads, "writes": k.Writes, "deletes": k.Deletes} {
			if err := l.check(); err != nil {
				return nil, fmt.Errorf("gateway.%s.%s: %w", scope, kind, err)
			}
		}
	}
	if m := p.Metadata; m != nil {
		if err := errors.Join(m.Instance.check(), m.Token.check()); err != nil || m.AtATime < 0 {
			return nil, fmt.Errorf("metadata: instance and token are limits, atATime is not negative: %w", err)
		}
	}
	if p.Gateway.GlobalFactor < 0 || p.Gateway.Instances < 0 {
		return nil, errors.New("gateway: globalFactor and instances cannot be negative")
	}
	for i, rp := range p.Providers {
		if err := rp.check(); err != nil {
			return nil, fmt.Errorf("providers[%d] %s: %w", i, rp.Policy, err)
		}
		for _, other := range p.Providers[:i] { // a policy may be told in parts, of which some count for single resources as well
			if other.Policy == rp.Policy && other.Subscription != nil && rp.Subscription != nil && *other.Subscription != *rp.Subscription {
				return nil, fmt.Errorf("providers[%d] %s: its limit of a subscription is another than it is before", i, rp.Policy)
			}
		}
	}
	return p, nil
}

var verbs = []string{"GET", "LIST", "CREATE", "UPDATE", "DELETE", "POST", "*"} //nolint:gochecknoglobals // a constant list

func (p ProviderPolicy) check() error {
	switch {
	case !strings.Contains(p.Policy, "/"):
		return errors.New("policy is not of the form Microsoft.Provider/Name")
	case len(p.Operations) == 0:
		return errors.New("operations is empty: it would never count anything")
	case p.Resource == nil && p.Subscription == nil:
		return errors.New("neither resource nor subscription: it would never limit anything")
	}
	if err := CheckOperations(p.Operations); err != nil {
		return err
	}
	for name, l := range map[string]*Limit{"resource": p.Resource, "subscription": p.Subscription} {
		if l == nil {
			continue
		}
		if l.Unlimited {
			return fmt.Errorf("%s: unlimited: leave it out", name)
		}
		if err := l.check(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// CheckOperations says which pattern could never match: policies and faults select by them.
func CheckOperations(patterns []string) error {
	for _, o := range patterns {
		if verb, typ, _ := strings.Cut(o, " "); !slices.Contains(verbs, verb) || typ == "" {
			return fmt.Errorf("operation %q is not VERB TYPE; verbs: %s", o, strings.Join(verbs, ", "))
		}
	}
	return nil
}

// Matches compares an operation with a pattern, whatever their case. A * as verb is any verb, and at the end of the type anything below it.
func Matches(pattern, operation string) bool {
	pv, pt, _ := strings.Cut(strings.ToLower(pattern), " ")
	ov, ot, _ := strings.Cut(strings.ToLower(operation), " ")
	if pv != "*" && pv != ov {
		return false
	}
	if prefix, ok := strings.CutSuffix(pt, "*"); ok {
		return strings.HasPrefix(ot, prefix)
	}
	return pt == ot
}

// maxKnown bounds what is remembered of operations: an action's name is the client's.
const maxKnown = 1000

// Of lists the provider's policies an operation draws on.
func (p *Policy) Of(operation string) []*ProviderPolicy {
	var known map[string][]*ProviderPolicy
	if now := p.known.Load(); now != nil {
		known = *now
	}
	if out, ok := known[operation]; ok {
		return out
	}
	var out []*ProviderPolicy
	for i := range p.Providers {
		if slices.ContainsFunc(p.Providers[i].Operations, func(o string) bool { return Matches(o, operation) }) {
			out = append(out, &p.Providers[i])
		}
	}
	if len(known) < maxKnown {
		p.learn(operation, out)
	}
	return out
}

// learn remembers what an operation draws on.
func (p *Policy) learn(operation string, policies []*ProviderPolicy) {
	p.learning.Lock()
	defer p.learning.Unlock()
	more := map[string][]*ProviderPolicy{operation: policies}
	if now := p.known.Load(); now != nil {
		maps.Copy(more, *now)
	}
	p.known.Store(&more)
}
