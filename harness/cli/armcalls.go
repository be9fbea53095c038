package cli

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
)

// callsFlags select lines of the call log.
type callsFlags struct {
	ready                         readyFlag
	operation, principal, outcome string
	fault                         string
	since                         int
	follow, asJSON, reset         bool
}

func armCalls() *cobra.Command {
	var f callsFlags
	c := &cobra.Command{
		Use: "calls", Short: "Show the calls that clients have made", Args: cobra.NoArgs,
		Example: "  drydock arm calls --ready-file ready.json --outcome throttled\n" +
			"  drydock arm calls --ready-file ready.json --operation 'LIST Microsoft.Compute/*' --principal cloud-provider --follow\n" +
			"  drydock arm calls --ready-file ready.json --json > calls.jsonl && drydock arm budget calls.jsonl",
		Long: "Calls prints the call log, oldest first; with --json one call a line, as `drydock arm budget` reads it. All selections must fit.",
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.ready.add(c)
	fl := c.Flags()
	fl.StringVar(&f.operation, "operation", "", "as in policies: VERB TYPE, a verb * for any, a type that ends in * for all below")
	fl.StringVar(&f.principal, "principal", "", "client id")
	fl.StringVar(&f.outcome, "outcome", "", strings.Join(azure.Outcomes(), ", "))
	fl.StringVar(&f.fault, "fault", "", "id of the fault that struck them")
	fl.IntVar(&f.since, "since", 0, "number of the first one, counted from when the twin started")
	fl.BoolVar(&f.follow, "follow", false, "go on with those that come, until it is interrupted")
	fl.BoolVar(&f.asJSON, "json", false, "print each as JSON, one a line")
	fl.BoolVar(&f.reset, "reset", false, "forget them all instead")
	c.MarkFlagsMutuallyExclusive("reset", "follow")
	_ = c.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions(azure.Outcomes(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (f *callsFlags) run(cmd *cobra.Command) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if f.reset {
		return f.ready.ask(ctx, http.MethodDelete, "calls", nil, nil)
	}
	query, first := url.Values{}, true
	for name, value := range map[string]string{"operation": f.operation, "principal": f.principal, "outcome": f.outcome, "fault": f.fault} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for since := f.since; ; {
		query.Set("since", strconv.Itoa(since))
		var told struct {
			Calls []arm.Call
			Next  int
		}
		if err := f.ready.get(ctx, "calls?"+query.Encode(), &told); err != nil {
			return err
		}
		if err := f.print(out, told.Calls, first); err != nil || !f.follow {
			return err
		}
		since, first = told.Next, false
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

func (f *callsFlags) print(w io.Writer, calls []arm.Call, first bool) error {
	if f.asJSON {
		for _, c := range calls {
			if err := json.NewEncoder(w).Encode(c); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if first {
		printf(t, "TIME\tSTATUS\tOPERATION\tPRINCIPAL\tWHY\tPATH\n")
	}
	for _, c := range calls {
		why := cmp.Or(c.Throttled, c.Over)
		if c.Fault != "" {
			why = "fault " + c.Fault
		}
		status := strconv.Itoa(c.Status)
		if c.Status == 0 {
			status = "cut"
		}
		printf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Time.Format("15:04:05.000"), status, cmp.Or(c.Operation, c.Method), cmp.Or(c.Principal, "-"), cmp.Or(why, "-"), c.Path)
	}
	return t.Flush()
}
