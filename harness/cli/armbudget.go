package cli

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/forecast"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/cluster"
)

func armBudget() *cobra.Command {
	var policy, principal string
	var nodes int
	var asJSON bool
	c := &cobra.Command{
		Use: "budget CALLS", Short: "Say what recorded work costs of each budget, and how many nodes and clusters that is enough for", Args: cobra.ExactArgs(1),
		Example: "  drydock run arm-throttled-provider --out r && drydock arm budget r/legacy-v0.17.4/calls.jsonl --principal cloud-provider --nodes 30 --policy legacy",
		Long: "Budget computes from a call log (calls.jsonl of a run, or drydock arm calls --json) and checks its arithmetic by sending the calls through the throttle again.\n" +
			"Each subscription, region and principal has budgets of its own, and so has each machine, of which the nearest to its end is told. The first 429 is that of the recorded work going on over and over.",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := throttle.LoadPolicy(policy)
			if err != nil {
				return err
			}
			calls, err := forecast.ReadCalls(args[0])
			if err != nil {
				return err
			}
			if principal != "" {
				if calls = slices.DeleteFunc(calls, func(c arm.Call) bool { return c.Principal != principal }); len(calls) == 0 {
					return cluster.Usagef("%s holds no call of principal %q", args[0], principal)
				}
			}
			costs := forecast.Budgets(calls, p, nodes)
			out := cmd.OutOrStdout()
			if asJSON {
				return printJSON(out, costs)
			}
			t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			printf(t, "BUDGET\tOF\tCALLS\tA NODE\tEMPTY AFTER NODES\tENOUGH FOR CLUSTERS\tFIRST 429\tSIMULATED\n")
			agrees := map[bool]string{true: "agrees", false: "DISAGREES"}
			for _, c := range costs {
				clusters, empty := fmt.Sprint(c.Clusters), fmt.Sprint(c.Nodes)
				switch {
				case c.Scope != "subscription":
					clusters = "each its own"
				case c.Clusters == forecast.Any:
					clusters = "any"
				case c.Clusters == 0:
					clusters = "not even one"
				}
				if c.Nodes == 0 {
					empty = "never"
				}
				first := "never"
				if c.First > 0 {
					first = "after " + time.Duration(c.First*float64(time.Second)).Round(100*time.Millisecond).String()
				}
				printf(t, "%s\t%s\t%d\t%.1f\t%s\t%s\t%s\t%s\n", c.Budget, ownerOf(c), c.Calls, c.Each, empty, clusters, first, agrees[c.Simulated])
			}
			return t.Flush()
		},
	}
	c.Flags().StringVar(&policy, "policy", "current", "throttling policy: a file, or "+strings.Join(throttle.Policies(), ", "))
	c.Flags().StringVar(&principal, "principal", "", "count the calls of this client id only")
	c.Flags().IntVar(&nodes, "nodes", 1, "nodes the recorded work was done for")
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return c
}

// ownerOf names whose budget it is: the part of it that tells it from others of its scope.
func ownerOf(c forecast.Cost) string {
	switch c.Scope {
	case "principal":
		return strings.Join(strings.Fields("principal "+c.Of.Principal+" "+c.Of.Subscription+" "+c.Of.Region), " ")
	case "tenant":
		return strings.Join(strings.Fields("tenant, principal "+c.Of.Principal+" "+c.Of.Region), " ")
	case "resource":
		return "resource " + path.Base(c.Of.Resource)
	default:
		return strings.TrimSpace("subscription " + c.Of.Subscription + " " + c.Of.Region)
	}
}
