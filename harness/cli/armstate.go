package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/cluster"
)

func armState() *cobra.Command {
	c := &cobra.Command{
		Use: "state", Short: "Export what is in a twin, or add to it",
		Example: "  drydock arm state export before.json --ready-file ready.json\n  drydock arm state import before.json --ready-file ready.json",
		Long:    "State is JSON: the documents of all resources, the operations under way and the deployments that run, secure parameters included, as\n`drydock arm serve --state FILE` takes them and goes on.",
	}
	c.AddCommand(armStateExport(), armStateImport())
	return c
}

func armStateExport() *cobra.Command {
	var ready readyFlag
	c := &cobra.Command{
		Use: "export [FILE]", Short: "Write all resources to a file, or to standard output", Args: cobra.MaximumNArgs(1),
		Example: "  drydock arm state export before.json --ready-file ready.json\n  drydock arm state export --ready-file ready.json | jq '.resources[].id'",
		RunE: func(cmd *cobra.Command, args []string) error {
			var state json.RawMessage
			if err := ready.get(cmd.Context(), "state", &state); err != nil {
				return err
			}
			if len(args) == 0 {
				return printJSON(cmd.OutOrStdout(), state)
			}
			return azure.WriteFile(args[0], state, 0o600) // a state may hold secrets: it is its owner's
		},
	}
	ready.add(c)
	return c
}

func armStateImport() *cobra.Command {
	var ready readyFlag
	c := &cobra.Command{
		Use: "import FILE|-", Short: "Add the resources of a file to what there is; those of the same id are replaced", Args: cobra.ExactArgs(1),
		Example: "  drydock arm state import before.json --ready-file ready.json\n  jq 'del(.subscriptions)' before.json | drydock arm state import - --ready-file ready.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := os.ReadFile(args[0])
			if args[0] == "-" {
				raw, err = io.ReadAll(cmd.InOrStdin())
			}
			if err != nil {
				return cluster.Usagef("state: %w", err)
			}
			if !json.Valid(raw) {
				return cluster.Usagef("state %s is no JSON", args[0])
			}
			var told struct{ Resources int }
			if err := ready.ask(cmd.Context(), http.MethodPut, "state", json.RawMessage(raw), &told); err != nil {
				return err
			}
			printf(cmd.OutOrStdout(), "%d resources\n", told.Resources)
			return nil
		},
	}
	ready.add(c)
	return c
}

func armClock() *cobra.Command {
	c := &cobra.Command{
		Use: "clock", Short: "Show a twin's clock, or advance it",
		Example: "  drydock arm clock show --ready-file ready.json\n  drydock arm clock advance 30m --ready-file ready.json",
		Long:    "Operations, budgets, blocks and faults go by the twin's clock. Only a virtual one (`drydock arm serve --clock virtual`) can be advanced.",
	}
	c.AddCommand(armClockShow(), armClockAdvance())
	return c
}

// clockTold is what the control listener says of the clock.
type clockTold struct {
	Now time.Time `json:"now"`
}

func (t clockTold) print(cmd *cobra.Command, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), t)
	}
	printf(cmd.OutOrStdout(), "%s\n", t.Now.Format(time.RFC3339Nano))
	return nil
}

func armClockShow() *cobra.Command {
	var ready readyFlag
	var asJSON bool
	c := &cobra.Command{
		Use: "show", Short: "Show what time it is for the twin", Args: cobra.NoArgs,
		Example: "  drydock arm clock show --ready-file ready.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var told clockTold
			if err := ready.get(cmd.Context(), "clock", &told); err != nil {
				return err
			}
			return told.print(cmd, asJSON)
		},
	}
	ready.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return c
}

func armClockAdvance() *cobra.Command {
	var ready readyFlag
	var asJSON bool
	c := &cobra.Command{
		Use: "advance DURATION", Short: "Let time pass for the twin: what is due happens before this returns", Args: cobra.ExactArgs(1),
		Example: "  drydock arm clock advance 30s --ready-file ready.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if d, err := time.ParseDuration(args[0]); err != nil || d < 0 {
				return cluster.Usagef("%q is no duration such as 30s", args[0])
			}
			var told clockTold
			if err := ready.ask(cmd.Context(), http.MethodPost, "clock", map[string]string{"advance": args[0]}, &told); err != nil {
				return err
			}
			return told.print(cmd, asJSON)
		},
	}
	ready.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return c
}
