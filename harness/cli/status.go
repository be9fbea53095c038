package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// clusterStatus is what `status -o json` tells of a cluster. Its fields only grow.
type clusterStatus struct {
	Name     string          `json:"name"`
	Provider string          `json:"provider"`
	Topology string          `json:"topology"`
	Server   string          `json:"server,omitempty"` // of the API, for this host
	Usage    *cluster.Usage  `json:"usage,omitempty"`
	Machines []machineStatus `json:"machines"`
	Unread   []string        `json:"unread,omitempty"` // what did not answer, and why
}

// machineStatus is one machine, as it and what runs on it says.
type machineStatus struct {
	Name     string            `json:"name"`
	Role     cluster.Role      `json:"role"`
	Address  string            `json:"address"`
	Power    string            `json:"power"`              // on, off or ?
	Node     string            `json:"node,omitempty"`     // Ready, NotReady; empty: there is no Node, or no API server has told
	Versions map[string]string `json:"versions,omitempty"` // of what runs, by its own word
	Etcd     string            `json:"etcd,omitempty"`     // leader, follower, learner, unreachable
}

func statusCommand(o *options) *cobra.Command {
	usage, format := false, ""
	c := &cobra.Command{
		Use: "status [NAME]", Short: "Show the running clusters, their machines and members, and the versions that run", Args: cobra.MaximumNArgs(1), ValidArgsFunction: o.completeClusters,
		Long: `Status asks what runs: each version is the running program's own word, and one that did not answer has a dash. With -o wide it shows all components, and why
each that did not answer did not; with -o json the same for machines.`,
		Example: "  drydock status\n  drydock status drydock -o wide\n  drydock status -o json | jq -r '.[].machines[] | [.name, .versions.kubelet] | @tsv'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(statusFormats(), format) {
				return cluster.Usagef("--output %q is unknown; known: %s", format, strings.Join(statusFormats()[1:], ", "))
			}
			p, err := o.open()
			if err != nil {
				return err
			}
			names, err := p.List(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) > 0 {
				names = args
			}
			all := []clusterStatus{}
			for _, name := range names {
				l, err := p.Attach(cmd.Context(), name)
				if err != nil {
					return err
				}
				st, err := statusOf(cmd.Context(), p, l, usage)
				if err != nil {
					return err
				}
				all = append(all, st)
			}
			return printStatus(cmd.OutOrStdout(), all, format)
		},
	}
	c.Flags().BoolVar(&usage, "usage", false, "show the memory the cluster takes; reading it takes a moment")
	c.Flags().StringVarP(&format, "output", "o", "", "wide: all components and what did not answer; json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(statusFormats()[1:], cobra.ShellCompDirectiveNoFileComp))
	return c
}

// statusFormats are the values of --output, the default first.
func statusFormats() []string { return []string{"", "wide", "json"} }

// statusOf reads a cluster once. What does not answer is told, and is no error: a cluster that is broken has a status.
func statusOf(ctx context.Context, p cluster.Provider, l cluster.Cluster, usage bool) (clusterStatus, error) {
	t := l.Topology()
	st := clusterStatus{Name: t.Name, Provider: p.Name(), Server: server(ctx, l)}
	if metered, ok := l.(cluster.Metered); ok && usage {
		u, err := metered.Usage(ctx)
		if err != nil {
			return st, err
		}
		st.Usage = &u
	}
	seen, err := reading(ctx, l)
	if err != nil {
		st.Unread = append(st.Unread, err.Error())
	}
	st.know(seen)
	for _, m := range l.Machines() {
		x := machineStatus{Name: m.Name(), Role: m.Role(), Address: m.Addr().String(), Power: power(ctx, m)}
		x.know(seen)
		st.Machines = append(st.Machines, x)
		if v := x.Versions[observe.APIServer]; v != "" { // what runs now: an upgrade may have been there
			t.Version = v
		}
	}
	st.Topology = t.String()
	return st, nil
}

// reading looks until everybody who answers has told its version, or for so long.
func reading(ctx context.Context, l cluster.Cluster) (seen observe.Observation, err error) {
	target, observer, err := watched(ctx, l)
	if err != nil {
		return seen, err
	}
	defer func() { err = errors.Join(err, target.Members.Close()) }()
	const within = 10 * time.Second
	_ = cluster.Await(ctx, "the versions", cluster.Wait{For: within}, func(ctx context.Context) error { // what is not told by then is told as that
		seen = observer.Observe(ctx)
		for _, c := range seen.Components {
			if c.Failure == cluster.Answered {
				return errors.New(c.Error)
			}
		}
		return nil
	})
	return seen, nil
}

// know takes what did not answer from an observation.
func (st *clusterStatus) know(seen observe.Observation) {
	for _, m := range seen.Members {
		if m.Error != "" {
			st.Unread = append(st.Unread, fmt.Sprintf("etcd on %s: %s", m.Machine, m.Error))
		}
	}
	for _, c := range seen.Components {
		if c.Error != "" {
			st.Unread = append(st.Unread, fmt.Sprintf("%s: %s", c, c.Error))
		}
	}
	for _, u := range seen.Unread {
		st.Unread = append(st.Unread, u.What+": "+u.Why)
	}
}

func (x *machineStatus) know(seen observe.Observation) {
	x.Versions = map[string]string{}
	for of, v := range seen.Versions {
		if program, ok := strings.CutSuffix(of, "/"+x.Name); ok {
			x.Versions[program] = v
		}
	}
	for _, n := range seen.Nodes {
		if n.Name != x.Name {
			continue
		}
		if x.Node = "NotReady"; n.Ready {
			x.Node = "Ready"
		}
	}
	for _, m := range seen.Members {
		if m.Machine == x.Name {
			x.Etcd = memberWord(m)
		}
	}
}

func memberWord(m etcd.Member) string {
	switch {
	case m.Error != "":
		return "unreachable"
	case m.IsLeader():
		return "leader"
	case m.Learner:
		return "learner"
	default:
		return "follower"
	}
}

func printStatus(out io.Writer, all []clusterStatus, format string) error {
	if format == "json" {
		return printJSON(out, all)
	}
	if len(all) == 0 {
		printf(out, "No clusters are running. Make one with: drydock up\n")
	}
	for _, st := range all {
		printf(out, "%s: %s\n", st.Name, st.Topology)
		if st.Server != "" {
			printf(out, "API server: %s\n", st.Server)
		}
		if st.Usage != nil {
			printf(out, "Memory: %d MiB in %d processes (shared pages divided among their users)\n", st.Usage.PSS>>20, st.Usage.Processes)
		}
		if err := printMachines(out, st.Machines, format == "wide"); err != nil {
			return err
		}
		if format == "wide" {
			for _, u := range st.Unread {
				printf(out, "no answer: %s\n", strings.ReplaceAll(u, "\n", " "))
			}
		}
	}
	return nil
}

func printMachines(out io.Writer, machines []machineStatus, wide bool) error {
	programs, node := []string{observe.Kubelet}, ""
	if wide {
		programs, node = observe.ComponentsOf(cluster.ControlPlane), "\tNODE"
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printf(t, "MACHINE\tROLE\tADDRESS\tPOWER%s\t%s\tETCD\n", node, strings.ToUpper(strings.Join(programs, "\t")))
	for _, m := range machines {
		printf(t, "%s\t%s\t%s\t%s", m.Name, m.Role, m.Address, m.Power)
		if wide {
			printf(t, "\t%s", cmp.Or(m.Node, "-"))
		}
		for _, p := range programs {
			printf(t, "\t%s", cmp.Or(m.Versions[p], "-"))
		}
		word := cmp.Or(m.Etcd, "-")
		if v := m.Versions[etcd.Program]; v != "" {
			word += ", " + v
		}
		printf(t, "\t%s\n", word)
	}
	return t.Flush()
}

// server is where this host finds the API server, as the cluster's kubeconfig says.
func server(ctx context.Context, c cluster.Cluster) string {
	raw, err := c.Kubeconfig(ctx)
	if err != nil {
		return ""
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(raw)
	if err != nil {
		return ""
	}
	return cfg.Host
}

func power(ctx context.Context, m cluster.Machine) string {
	p, err := cluster.As[cluster.Power](m)
	if err != nil {
		return "?"
	}
	on, err := p.Powered(ctx)
	switch {
	case err != nil:
		return "?"
	case on:
		return "on"
	default:
		return "off"
	}
}
