package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/provider"
	"drydock.dev/drydock/scenarios"
)

func completeScenarios(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return scenarios.Names(), cobra.ShellCompDirectiveDefault
}

// described is a scenario for who chooses one.
type described struct {
	Name      string            `json:"name"`
	About     string            `json:"about"`
	Labels    map[string]string `json:"labels"`
	Needs     experiment.Needs  `json:"needs"`
	Providers []string          `json:"providers"`       // that have all it needs; none: it needs none
	Lacks     map[string]string `json:"lacks,omitempty"` // what the others lack
	Seconds   int               `json:"seconds,omitempty"`
	Cores     int               `json:"cores,omitempty"` // of the host it took so long on
}

func describeScenario(nameOrFile string) (described, error) {
	s, err := experiment.Load(nameOrFile)
	if err != nil {
		return described{}, err
	}
	return describe(nameOrFile, s)
}

func describe(name string, s *experiment.Scenario) (described, error) {
	needs, err := s.Needs()
	if err != nil {
		return described{}, fmt.Errorf("%s: %w", name, err)
	}
	measured, err := scenarios.Takes()
	if err != nil {
		return described{}, fmt.Errorf("what scenarios take: %w", err)
	}
	took := measured[path.Base(name)]
	d := described{
		Name: name, About: s.Metadata.About, Labels: s.Metadata.Labels, Needs: needs, Providers: []string{}, Lacks: map[string]string{}, Seconds: took.Seconds, Cores: took.Cores,
	}
	if needs.Etcd == "" {
		return d, nil
	}
	for _, p := range provider.Names() {
		if why := provider.Means(p).Why(needs.Etcd, needs.Capabilities...); why != "" {
			d.Lacks[p] = why
			continue
		}
		d.Providers = append(d.Providers, p)
	}
	return d, nil
}

// where is where it can be run.
func (d described) where() string {
	if d.Needs.Etcd == "" {
		return "none needed"
	}
	return strings.Join(d.Providers, ", ")
}

// takes is what it took; a dash: nobody has measured it.
func (d described) takes() string {
	if d.Seconds == 0 {
		return "-"
	}
	return (time.Duration(d.Seconds) * time.Second).String()
}

func scenariosCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use: "scenarios", Short: "List the scenarios with what each needs and takes", Args: cobra.NoArgs,
		Example: "  drydock scenarios\n  drydock scenarios show etcd-leader-crash\n  drydock scenarios lint ./mine.yaml",
		Long: `Scenarios lists what there is to run: how many machines it needs (control planes + workers) and what else, on which providers all of it can be done, and how long it took when it was
measured (on a host of 2 cores, of programs that were there and a cluster that was saved; -: not measured).`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []described
			for _, n := range scenarios.Names() {
				d, err := describeScenario(n)
				if err != nil {
					return err
				}
				all = append(all, d)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			printf(out, "SCENARIO\tTIER\tNEEDS\tPROVIDERS\tTAKES\tABOUT\n")
			for _, d := range all {
				printf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", d.Name, d.Labels["tier"], d.Needs, d.where(), d.takes(), d.About)
			}
			return out.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print it for machines")
	c.AddCommand(showCommand(), lintCommand(), partsCommand(), schemaCommand())
	return c
}

func showCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use: "show NAME|FILE", Short: "Show a scenario: what it needs, where it can be run, and its file", Args: cobra.ExactArgs(1), ValidArgsFunction: completeScenarios,
		Example: "  drydock scenarios show etcd-leader-crash\n  drydock scenarios show upgrade-surge --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := describeScenario(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), d)
			}
			_, raw, err := experiment.Source(args[0])
			if err != nil {
				return err
			}
			return d.print(cmd.OutOrStdout(), raw)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print it for machines, without its file")
	return c
}

func (d described) print(to io.Writer, file []byte) error {
	out := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	printf(out, "scenario\t%s\nabout\t%s\n", d.Name, d.About)
	for _, k := range slices.Sorted(maps.Keys(d.Labels)) {
		printf(out, "%s\t%s\n", k, d.Labels[k])
	}
	for _, c := range d.Needs.Clusters {
		printf(out, "cluster\t%s\n", c)
	}
	var can []string
	for _, c := range d.Needs.Capabilities {
		can = append(can, string(c))
	}
	printf(out, "needs\t%s\nmachines must\t%s\nproviders\t%s\n", d.Needs, strings.Join(can, ", "), d.where())
	for _, p := range slices.Sorted(maps.Keys(d.Lacks)) {
		printf(out, "not on %s\t%s\n", p, d.Lacks[p])
	}
	printf(out, "takes\t%s\nrun it\tdrydock run %s\n", d.takes(), d.Name)
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(to, "\n%s", file)
	return err
}

func lintCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use: "lint FILE…", Short: "Say what is wrong in scenarios' files, and where", Args: cobra.MinimumNArgs(1),
		Example: "  drydock scenarios lint ./mine.yaml\n  drydock scenarios lint scenarios/*.yaml --json",
		Long: `Lint reads each file, makes its plan, and prints a line FILE:LINE:COLUMN: MESSAGE for each mistake, with what is known in its place. Nothing is run.

Editors with a YAML language server check and complete a file whose first line is

    # yaml-language-server: $schema=` + schemaFile + `

by the schema that drydock init writes beside a new scenario, and drydock scenarios schema prints.

Exit codes: 0 nothing is wrong, 2 something is.`,
		RunE: func(cmd *cobra.Command, files []string) error {
			all := []experiment.Mistake{}
			for _, f := range files {
				found, err := experiment.Lint(f)
				if err != nil {
					return err
				}
				all = append(all, found...)
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), all); err != nil {
					return err
				}
			} else {
				for _, m := range all {
					printf(cmd.OutOrStdout(), "%s\n", m)
				}
			}
			if len(all) > 0 {
				return codeError{exitUsage}
			}
			hint(files)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the mistakes for machines")
	return c
}

// hint tells of editors whoever has well files that do not lead to the schema.
func hint(files []string) {
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err == nil && !strings.Contains(string(raw), "yaml-language-server:") {
			printf(os.Stderr, "%s: nothing is wrong. With `# yaml-language-server: $schema=%s` for its first line, and `drydock scenarios schema > %s`, editors say so too.\n", f, schemaFile, schemaFile)
		}
	}
}

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON schema of scenarios, for editors", Args: cobra.NoArgs,
		Example: "  drydock scenarios schema > " + schemaFile,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(scenarios.Schema())
			return err
		},
	}
}

func partsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "parts", Short: "List what scenarios are made of: faults, targets and checks", Args: cobra.NoArgs,
		Example: "  drydock scenarios parts",
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			printf(out, "FAULT\tABOUT\n")
			for _, k := range fault.List() {
				printf(out, "%s\t%s\n", k.Name, k.About)
			}
			printf(out, "\nTARGET OF A FAULT\tABOUT (or a machine's name)\n")
			for _, r := range fault.Roles() {
				printf(out, "%s\t%s\n", r, r.About)
			}
			printf(out, "\nFAULT OF THE TWIN\tABOUT (arm: {kind: …} beside a cluster, spec.arm.faults, or drydock arm fault inject)\n")
			for _, k := range slices.Sorted(maps.Keys(azure.FaultKinds())) {
				printf(out, "%s\t%s\n", k, azure.FaultKinds()[k])
			}
			printf(out, "\nCHECK\tWHEN\tABOUT\n")
			for _, k := range experiment.AllChecks() {
				printf(out, "%s\t%s\t%s\n", k.Name, k.When, k.About)
			}
			return out.Flush()
		},
	}
}

// schemaFile is the schema's name beside scenarios of a user's.
const schemaFile = "drydock.schema.json"

func initCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init [NAME]", Short: "Write a scenario to begin with, and the schema that editors check it by", Args: cobra.MaximumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  drydock init                 # my-scenario.yaml\n  drydock init leader-loss && drydock run leader-loss.yaml",
		Long: "Init writes NAME.yaml, a scenario with comments that can be run as it is, and " + schemaFile + " into the working directory. It overwrites no scenario, and no\n" +
			schemaFile + " but that of another Drydock.",
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "my-scenario"
			if len(args) > 0 {
				name = args[0]
			}
			return begin(cmd.OutOrStdout(), name)
		},
	}
}

// begin writes both files, or none.
func begin(out io.Writer, name string) error {
	if err := cluster.CheckName("scenario", name); err != nil {
		return err
	}
	file := name + ".yaml"
	if _, err := os.Lstat(file); err == nil {
		return cluster.Usagef("%s exists and is not overwritten: choose another name", file)
	}
	if old, err := os.ReadFile(schemaFile); err == nil && !strings.Contains(string(old), `"$id": "urn:drydock:`) {
		return cluster.Usagef("%s exists, is no schema of Drydock's and is not overwritten", schemaFile)
	}
	if err := os.WriteFile(schemaFile, scenarios.Schema(), 0o644); err != nil {
		return &cluster.UsageError{Err: err}
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) // whoever else writes it meanwhile keeps his
	if err != nil {
		return &cluster.UsageError{Err: err}
	}
	_, err = f.WriteString(scenarios.New(name, schemaFile))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	printf(out, "%s: change it, then\n  drydock scenarios lint %s\n  drydock plan %s\n  drydock run %s\n", file, file, file, file)
	return nil
}
