package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/cluster"
)

// Spec is a twin beside a cluster, whose machines are its virtual machines. What is left out is as `drydock arm serve` has it.
type Spec struct {
	Policy       string     `yaml:"policy"`  // what it throttles by: a name, or a file, as timings is, from where drydock runs
	Timings      string     `yaml:"timings"` // file that says how operations run
	Hostile      bool       `yaml:"hostile"` // rejected calls count
	Clock        string     `yaml:"clock"`   // wall, or how many times as fast as the wall's
	Subscription string     `yaml:"subscription"`
	CoTenants    []CoTenant `yaml:"coTenants"` // draw on its budgets from the beginning to the end
	// Versions are what versions of Kubernetes in machines' tags stand for: 1.23.17: v1.35.4. What is not among them stands for itself.
	Versions map[string]string `yaml:"versions"`
}

// CoTenant are other clusters of the subscription.
type CoTenant struct {
	Operations []string `yaml:"operations"`
	PerMinute  float64  `yaml:"perMinute"`
	Model      string   `yaml:"model"` // L0 to L3, with clusters, scaleSets and disks, instead of operations
	Clusters   int      `yaml:"clusters"`
	ScaleSets  int      `yaml:"scaleSets"`
	Disks      int      `yaml:"disks"`
	Location   string   `yaml:"location"`
}

func (c CoTenant) fault() azure.Fault {
	return azure.Fault{Kind: azure.FaultLoad, Operations: c.Operations, PerMinute: c.PerMinute, Model: c.Model, Clusters: c.Clusters, ScaleSets: c.ScaleSets, Disks: c.Disks, Location: c.Location}
}

// Validate says what is wrong with it.
func (s Spec) Validate() error {
	if s.Clock == "virtual" {
		return cluster.Usagef("clock is virtual: machines take time, and nobody would advance it; wall, or how many times as fast")
	}
	for i, c := range s.CoTenants {
		if err := c.fault().Check(); err != nil {
			return cluster.Usagef("coTenants[%d]: %w", i, err)
		}
	}
	_, err := s.options()
	return err
}

// Describe says what it is, from the fields that are used.
func (s Spec) Describe() string {
	out := defaultPolicy(s.Policy) + " policy"
	if s.Hostile {
		out += ", hostile"
	}
	if s.Clock != "" && s.Clock != "wall" {
		out += ", clock ×" + s.Clock
	}
	for _, tagged := range slices.Sorted(maps.Keys(s.Versions)) {
		out += ", " + tagged + " stands for " + s.Versions[tagged]
	}
	for _, c := range s.CoTenants {
		out += ", co-tenants: " + c.fault().Describe()
	}
	return out
}

func defaultPolicy(name string) string {
	if name == "" {
		return "current"
	}
	return name
}

// options are the twin's, but for its machines.
func (s Spec) options() (o azure.Options, err error) {
	o.Hostile, o.Subscription = s.Hostile, s.Subscription
	if o.Subscription == "" {
		o.Subscription = azure.DefaultSubscription
	}
	if o.Clock, err = arm.ParseClock(s.Clock); err != nil {
		return o, err
	}
	if o.Policy, err = throttle.LoadPolicy(defaultPolicy(s.Policy)); err != nil {
		return o, err
	}
	if s.Timings != "" {
		o.Timings, err = azure.LoadTimings(s.Timings)
	}
	return o, err
}

// Beside is a twin that runs beside a cluster.
type Beside struct {
	Twin   *azure.Twin
	Server *azure.Server
	Pool   *Pool
	Began  time.Time // by the wall's clock
	Ready  string    // the ready file

	inside  azure.Ready
	clock   arm.Clock
	started time.Time // by the twin's clock
}

// Where a machine finds the twin, if the cluster's machines reach programs of this host: what the ready file says, but for what only the owner may do, with an
// endpoint that the machine and its pods reach.
const (
	OnMachine      = "/etc/drydock/twin"
	ReadyOnMachine = OnMachine + "/ready.json"
	CAOnMachine    = OnMachine + "/ca.pem"
)

// Begin starts a twin that begins with what somebody has deployed as the cluster's machines, or nil for what State makes of them, and writes below dir what its clients need: ready.json, ca.pem, and cloud.json for AZURE_ENVIRONMENT_FILEPATH. End ends it, or the context.
func Begin(ctx context.Context, c cluster.Cluster, s Spec, dir string, seed uint64, begin *azure.State) (_ *Beside, err error) {
	o, err := s.options()
	if err != nil {
		return nil, err
	}
	b := &Beside{Began: time.Now(), Ready: filepath.Join(dir, "ready.json"), clock: o.Clock, started: o.Clock.Now()}
	if b.Pool, err = New(ctx, c); err != nil {
		return nil, err
	}
	b.Pool.Versions = s.Versions
	if begin == nil {
		own, err := b.Pool.State(o.Subscription)
		if err != nil {
			return nil, err
		}
		begin = &own
	}
	o.Seed, o.Machines = seed, b.Pool
	if b.Twin, err = azure.New(o); err != nil {
		return nil, err
	}
	if err := b.Twin.Load(*begin); err != nil {
		return nil, err
	}
	for _, t := range s.CoTenants {
		if _, err := b.Twin.Arm(t.fault()); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("twin: %w", err)
	}
	return b, b.serve(ctx, c, dir)
}

// serve opens its listeners: on the loopback, and where the machines reach it.
func (b *Beside) serve(ctx context.Context, c cluster.Cluster, dir string) (err error) {
	l := azure.Listen{Address: "127.0.0.1:0", CAOut: filepath.Join(dir, "ca.pem"), CloudOut: filepath.Join(dir, "cloud.json"), ReadyFile: b.Ready}
	if host, ok := c.(cluster.Host); ok {
		if l.Also, err = host.Listen(ctx); err != nil {
			return fmt.Errorf("twin: %w", err)
		}
	}
	if b.Server, err = b.Twin.Serve(ctx, l); err != nil {
		return err
	}
	if l.Also != nil {
		err = b.tell(ctx, c, l.Also)
	}
	if err != nil {
		err = errors.Join(err, b.Server.Close())
	}
	return err
}

// tell gives every machine what it needs to find the twin, and those that come.
func (b *Beside) tell(ctx context.Context, c cluster.Cluster, inside net.Listener) error {
	b.inside = b.Server.Ready.At(inside.Addr().String())
	b.inside.CA = CAOnMachine
	raw, err := json.MarshalIndent(b.inside, "", "  ")
	if err != nil {
		return fmt.Errorf("twin: %w", err)
	}
	b.Pool.Files = map[string][]byte{ReadyOnMachine: append(raw, '\n'), CAOnMachine: b.Server.CA}
	for _, m := range c.Machines() {
		if err := b.Pool.furnish(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// OnMachines is the ready file as the machines have it; without an endpoint where they do not reach it.
func (b *Beside) OnMachines() azure.Ready { return b.inside }

// End ends it and takes from the machines what it has put there.
func (b *Beside) End(ctx context.Context) error {
	err := errors.Join(b.Server.Close(), os.Remove(b.Ready)) // nobody answers there any more
	if len(b.Pool.Files) == 0 {
		return err
	}
	for _, m := range b.Pool.Cluster.Machines() {
		if _, rm := m.Exec(ctx, cluster.Command{Args: []string{"rm", "-rf", OnMachine}}); rm != nil {
			err = errors.Join(err, fmt.Errorf("twin: what it has left on %s: %w", m.Name(), rm))
		}
	}
	return err
}

// Wall is when it was by the wall's clock at a time of the twin's.
func (b *Beside) Wall(t time.Time) time.Time {
	return b.Began.Add(b.clock.Wall(t.Sub(b.started)))
}

// Calls are all that the log has, with times of the wall's clock; lost is how many were made before them.
func (b *Beside) Calls() (calls []arm.Call, lost int) {
	calls, next := b.Twin.Calls().Since(0)
	for i := range calls {
		calls[i].Time = b.Wall(calls[i].Time)
	}
	return calls, next - len(calls)
}
