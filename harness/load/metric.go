package load

import (
	"context"
	"fmt"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Metric waits until a metric of one member's is above a number. What no client can see is seen so: that a member took over a snapshot, without which what
// comes after it would show nothing.
type Metric struct {
	Name  string  `yaml:"name"` // with its labels, as the member's own page has it
	Above float64 `yaml:"above"`
}

func (m *Metric) validate() error {
	if m.Name == "" || strings.ContainsAny(m.Name, " \t\r\n") {
		return fmt.Errorf("metric: name is %q; it has no spaces and is not empty", m.Name)
	}
	return nil
}

// String is what is waited for in a plan.
func (m *Metric) String() string { return fmt.Sprintf("%s to be above %g", m.Name, m.Above) }

func (m *Metric) send(ctx context.Context, s *script, w who) (saw string, err error) {
	until, _ := ctx.Deadline() // every entry has its own
	return saw, cluster.Await(ctx, m.String(), cluster.Wait{For: time.Until(until)}, func(ctx context.Context) error {
		v, err := s.target.Etcd.Metric(ctx, w.machine, m.Name)
		if err != nil {
			return err
		}
		if saw = fmt.Sprintf("it is %g", v); v <= m.Above {
			return fmt.Errorf("on %s %s", w.machine, saw)
		}
		return nil
	})
}
