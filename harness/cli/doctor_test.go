package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

// maker is a provider on paper.
type maker struct {
	cluster.Provider
	name  string
	lacks cluster.Lacks
	err   error
}

func (m maker) Name() string { return m.name }

func (m maker) Offer(_ context.Context, t cluster.Topology) (cluster.Offer, error) {
	return cluster.Offer{Machines: t.Machines(), Lacks: m.lacks}, m.err
}

// finder is one whose clusters are there before it; it is never asked to make one.
type finder struct {
	cluster.Provider
	names []string
	err   error
}

func (finder) Name() string                                            { return "found" }
func (finder) Lasts() bool                                             { return true }
func (f finder) List(context.Context) ([]string, error)                { return f.names, f.err }
func (finder) Attach(context.Context, string) (cluster.Cluster, error) { return there{}, nil }

type there struct{ cluster.Cluster }

func (there) Topology() cluster.Topology {
	return cluster.Topology{Name: "shop", ControlPlanes: 3, Version: "v1.35.4"}
}
func (there) Lacks() cluster.Lacks {
	return cluster.Lacks{cluster.CanPower: "no powerOff in the inventory"}
}

// TestDoctor: a provider that gives no cluster has one row with the reason, any other a row for each capability; the exit code is 1 only where none does.
func TestDoctor(t *testing.T) {
	refused := cluster.Usagef("it needs Docker,\nand there is none")
	for name, c := range map[string]struct {
		providers []cluster.Provider
		code      int
		want      []string // rows, their spaces aside
		rows      int
	}{
		"one works, one does not": {
			[]cluster.Provider{maker{name: "a", lacks: cluster.Lacks{cluster.CanLinks: "the kernel has no nftables"}}, maker{name: "b", err: refused}},
			exitGo,
			[]string{"a clusters yes it would make 1+1 v", "a power yes", "a links no the kernel has no nftables", "b clusters no it needs Docker, and there is none"},
			1 + len(cluster.Capabilities()) + 1,
		},
		"none works": {[]cluster.Provider{maker{name: "b", err: refused}, finder{err: errors.New("no inventory")}}, exitNoGo, []string{"found clusters no no inventory"}, 2},
		"one that finds its clusters": {
			[]cluster.Provider{finder{names: []string{"shop"}}}, exitGo,
			[]string{"found clusters yes it attaches to shop, 3+0 v1.35.4", "found power no no powerOff in the inventory", "found kill yes"},
			1 + len(cluster.Capabilities()),
		},
		"one that finds none": {[]cluster.Provider{finder{}}, exitNoGo, []string{"found clusters no it finds no cluster"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var table, raw bytes.Buffer
			code := exitGo
			for out, asJSON := range map[*bytes.Buffer]bool{&table: false, &raw: true} {
				err := diagnose(t.Context(), out, c.providers, asJSON)
				var ce codeError
				if errors.As(err, &ce) {
					code = ce.code
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if code != c.code {
				t.Errorf("exit code %d, not %d", code, c.code)
			}
			text := ""
			for line := range strings.Lines(table.String()) {
				text += strings.Join(strings.Fields(line), " ") + "\n"
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("no row %q in:\n%s", want, text)
				}
			}
			var rows []finding
			if err := json.Unmarshal(raw.Bytes(), &rows); err != nil || len(rows) != c.rows {
				t.Errorf("%d rows of JSON, not %d: %v", len(rows), c.rows, err)
			}
		})
	}
}

// TestDoctorIsStopped: what was not found out is not a no.
func TestDoctorIsStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := diagnose(ctx, &bytes.Buffer{}, []cluster.Provider{maker{name: "a", err: ctx.Err()}}, false); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
