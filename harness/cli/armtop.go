package cli

import (
	"cmp"
	"io"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"drydock.dev/drydock/harness/azure"
)

func armTop() *cobra.Command {
	var ready readyFlag
	var once, asJSON bool
	var every time.Duration
	c := &cobra.Command{
		Use: "top", Short: "Show what clients do to a twin, by operation and principal, and what it does not answer", Args: cobra.NoArgs,
		Example: "  drydock arm top --ready-file ready.json\n  drydock arm top --ready-file ready.json --once --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			twin, err := ready.find()
			if err != nil {
				return err
			}
			screen := term.IsTerminal(int(os.Stdout.Fd())) && !once
			for {
				var done doings
				if err := twin.AskControl(cmd.Context(), http.MethodGet, "summary", nil, &done.Operations); err != nil {
					return err
				}
				if err := twin.AskControl(cmd.Context(), http.MethodGet, "unanswered", nil, &done.Unanswered); err != nil {
					return err
				}
				if screen {
					printf(cmd.OutOrStdout(), "\x1b[H\x1b[2J")
				}
				if err := done.show(cmd.OutOrStdout(), asJSON); err != nil || !screen {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(every):
				}
			}
		},
	}
	ready.add(c)
	c.Flags().BoolVar(&once, "once", false, "print once and end")
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	c.Flags().DurationVar(&every, "every", time.Second, "time between two looks")
	return c
}

// doings are what clients did, and what they wanted that the twin does not have.
type doings struct {
	Operations []azure.Row        `json:"operations"`
	Unanswered []azure.Unanswered `json:"unanswered"`
}

func (d doings) show(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, d)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	printf(t, "OPERATION\tPRINCIPAL\tBUDGET\tOK\tTHROTTLED\tFAULTS\tFAILED\tAMPLIFICATION\n")
	for _, r := range d.Operations {
		printf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%.2f\n", r.Operation, cmp.Or(r.Principal, "-"), cmp.Or(r.Budget, "-"), r.OK, r.Throttled, r.Faults, r.Failed, r.Amplification())
	}
	if len(d.Unanswered) > 0 {
		printf(t, "\nNOT ANSWERED: the twin has no such thing\tPRINCIPAL\tCALLS\n")
	}
	for _, u := range d.Unanswered {
		printf(t, "%s\t%s\t%d\n", u.Call, u.Principal, u.Count)
	}
	return t.Flush()
}
