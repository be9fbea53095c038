package cli

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/cluster"
)

func armFault() *cobra.Command {
	c := &cobra.Command{
		Use: "fault", Short: "Have a twin throttle, fail, stall or lie, see what that struck, and end it",
		Example: "  drydock arm fault inject throttle operations='LIST Microsoft.Compute/*' retryAfter=61 --ready-file ready.json\n" +
			"  drydock arm fault list --ready-file ready.json\n  drydock arm fault clear --ready-file ready.json",
		Long: "Clear tells of each fault what it struck. One that struck nothing is not confirmed: whatever clients did, they did not meet it.",
	}
	c.AddCommand(armFaultInject(), armFaultList(), armFaultClear())
	return c
}

func armFaultInject() *cobra.Command {
	var ready readyFlag
	var asJSON bool
	var kinds strings.Builder
	about := azure.FaultKinds()
	for _, k := range slices.Sorted(maps.Keys(about)) {
		kinds.WriteString("  " + k + strings.Repeat(" ", max(1, 20-len(k))) + about[k] + "\n")
	}
	c := &cobra.Command{
		Use: "inject KIND [PARAM=VALUE…]", Short: "Arm a fault", Args: cobra.MinimumNArgs(1),
		Example: "  drydock arm fault inject throttle operations='LIST Microsoft.Compute/*' retryAfter=61\n" +
			"  drydock arm fault inject error operations='GET Microsoft.Network/*' status=503 count=3\n" +
			"  drydock arm fault inject throttle operationGroup=gateway/writes\n" +
			"  drydock arm fault inject error operations='POST identity/token' status=500        # and 'GET imds/*'; no other fault strikes these\n" +
			"  drydock arm fault inject allocationFailed zone=1 size=Standard_D2s_v3 for=10m\n" +
			"  drydock arm fault inject fail operations='CREATE Microsoft.Compute/virtualMachines' code=OSProvisioningTimedOut message='OS Provisioning did not finish.'",
		Long: "Inject arms a fault for the calls that its parameters select, and says its id. It stays until it is cleared, or has struck count calls, or for=DURATION of the\n" +
			"twin's clock has passed.\n\nKinds:\n" + kinds.String() + "\nParameters: " + strings.Join(faultParams(), ", ") + ".",
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := faultOf(args[0], args[1:])
			if err != nil {
				return err
			}
			var f azure.Fault
			if err := ready.ask(cmd.Context(), http.MethodPost, "faults", asked, &f); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), f)
			}
			printf(cmd.OutOrStdout(), "fault %s: %s\n", f.ID, f.Describe())
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (words []string, _ cobra.ShellCompDirective) {
			if len(args) == 0 {
				for _, k := range slices.Sorted(maps.Keys(about)) {
					words = append(words, k+"\t"+about[k])
				}
				return words, cobra.ShellCompDirectiveNoFileComp
			}
			for _, p := range faultParams() {
				words = append(words, p+"=")
			}
			return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
	}
	ready.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return c
}

// faultParams are the fields of a request but its kind.
func faultParams() (names []string) {
	t := reflect.TypeFor[azure.FaultRequest]()
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "kind" {
			names = append(names, name)
		}
	}
	return names
}

// faultOf reads PARAM=VALUE into the field of that name; a list's values are separated by commas.
func faultOf(kind string, words []string) (azure.FaultRequest, error) {
	f := azure.FaultRequest{Kind: kind}
	v := reflect.ValueOf(&f).Elem()
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		field := v.FieldByNameFunc(func(n string) bool {
			s, _ := v.Type().FieldByName(n)
			tag, _, _ := strings.Cut(s.Tag.Get("json"), ",")
			return tag == name && name != "kind"
		})
		if !ok || !field.IsValid() {
			return f, cluster.Usagef("%q is no PARAM=VALUE; known: %s", w, strings.Join(faultParams(), ", "))
		}
		var err error
		switch field.Kind() {
		case reflect.String:
			field.SetString(value)
		case reflect.Slice:
			field.Set(reflect.ValueOf(strings.Split(value, ",")))
		default:
			if err = json.Unmarshal([]byte(value), field.Addr().Interface()); err != nil {
				err = cluster.Usagef("%s is %q, and should be a %s", name, value, field.Kind())
			}
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

func armFaultList() *cobra.Command {
	var ready readyFlag
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the faults, with what each has struck", Args: cobra.NoArgs,
		Example: "  drydock arm fault list --ready-file ready.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []azure.Fault
			if err := ready.get(cmd.Context(), "faults", &all); err != nil {
				return err
			}
			return showFaults(cmd, all, asJSON)
		},
	}
	ready.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return c
}

// showFaults prints them, those that have ended too.
func showFaults(cmd *cobra.Command, all []azure.Fault, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), all)
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	printf(t, "ID\tSTATE\tSTRUCK\tSINCE\tFAULT\n")
	for _, f := range all {
		state, struck := "armed", strconv.Itoa(f.Struck)
		if !f.Ended.IsZero() {
			state = "ended"
			if f.Struck == 0 {
				struck = "nothing: not confirmed"
			}
		}
		printf(t, "%s\t%s\t%s\t%s\t%s\n", f.ID, state, struck, f.Began.Format(time.TimeOnly), f.Describe())
	}
	return t.Flush()
}

func armFaultClear() *cobra.Command {
	var ready readyFlag
	var asJSON bool
	c := &cobra.Command{
		Use: "clear [ID…]", Short: "End faults, all of them unless ids are named, and tell what each struck",
		Example: "  drydock arm fault clear --ready-file ready.json",
		Long:    "Exit codes: 0 all that were cleared had struck something, 1 one had not, which is then not confirmed, 2 usage or environment error.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{""}
			}
			var over []azure.Fault
			for _, id := range args {
				var some []azure.Fault
				if err := ready.ask(cmd.Context(), http.MethodDelete, "faults?id="+url.QueryEscape(id), nil, &some); err != nil {
					return err
				}
				over = append(over, some...)
			}
			if err := showFaults(cmd, over, asJSON); err != nil {
				return err
			}
			if slices.ContainsFunc(over, func(f azure.Fault) bool { return f.Struck == 0 }) {
				return codeError{exitNoGo}
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) (ids []string, _ cobra.ShellCompDirective) {
			var all []azure.Fault
			if ready.get(cmd.Context(), "faults", &all) == nil {
				for _, f := range all {
					if f.Ended.IsZero() {
						ids = append(ids, f.ID+"\t"+f.Describe())
					}
				}
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
	}
	ready.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return c
}
