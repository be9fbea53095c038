package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/provider"
	"drydock.dev/drydock/harness/release"
)

// canClusters is the first row of a provider: whether it gives clusters at all. The others are capabilities of their machines.
const canClusters = "clusters"

// finding is one row of the doctor's table.
type finding struct {
	Provider   string `json:"provider"`
	Capability string `json:"capability"`
	Can        bool   `json:"can"`
	Why        string `json:"why,omitempty"` // why not; of clusters that there are: which
}

func doctorCommand(o *options) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use: "doctor", Short: "Try what each provider could do on this host", Args: cobra.NoArgs,
		Example: "  drydock doctor\n  drydock doctor --json | jq '.[] | select(.can | not)'",
		Long: `Doctor tries what each provider could do on this host: whether it gives clusters, and what their machines could not do. It makes none, changes nothing
and fetches nothing. Of a provider that attaches to clusters it asks those that it finds (staging: --inventory).

Exit codes: 0 when at least one provider gives clusters, 1 when none does.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []cluster.Provider
			for _, name := range provider.Names() {
				p, err := o.of(name)
				if err != nil {
					return err
				}
				all = append(all, p)
			}
			return diagnose(cmd.Context(), cmd.OutOrStdout(), all, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print it for machines")
	return c
}

// diagnose examines the providers, prints what was found, and ends with exit code 1 where none can be used.
func diagnose(ctx context.Context, out io.Writer, providers []cluster.Provider, asJSON bool) error {
	var all []finding
	usable := false
	for _, p := range providers {
		some, err := examine(ctx, p)
		if err != nil {
			return fmt.Errorf("provider %s: %w", p.Name(), err)
		}
		usable = usable || some[0].Can
		all = append(all, some...)
	}
	if asJSON {
		if err := printJSON(out, all); err != nil {
			return err
		}
	} else {
		table(out, all)
	}
	if !usable {
		return codeError{exitNoGo}
	}
	return nil
}

func table(out io.Writer, all []finding) {
	printf(out, "%-10s %-13s %-4s %s\n", "PROVIDER", "CAPABILITY", "CAN", "WHY")
	for _, f := range all {
		can := "no"
		if f.Can {
			can = "yes"
		}
		printf(out, "%s\n", strings.TrimRight(fmt.Sprintf("%-10s %-13s %-4s %s", f.Provider, f.Capability, can, strings.ReplaceAll(f.Why, "\n", " ")), " "))
	}
}

// examine asks one provider; the first finding says whether it gives clusters. That it gives none is a finding, unless nobody waits for it any more.
func examine(ctx context.Context, p cluster.Provider) ([]finding, error) {
	seen, lacks, err := found(ctx, p)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return []finding{{p.Name(), canClusters, false, err.Error()}}, nil //nolint:nilerr // that is what was found
	}
	out := []finding{{p.Name(), canClusters, true, seen}}
	for _, c := range cluster.Capabilities() {
		why, lacking := lacks[c]
		out = append(out, finding{p.Name(), string(c), !lacking, why})
	}
	return out, nil
}

// found says which cluster the provider gives, and what that lacks: a small one that it would make, or the one that is there already.
func found(ctx context.Context, p cluster.Provider) (string, cluster.Lacks, error) {
	if lasts(p) {
		return attachable(ctx, p)
	}
	t, _, err := release.CompleteTopology(cluster.Topology{Name: "doctor", ControlPlanes: 1, Workers: 1})
	if err != nil {
		return "", nil, err
	}
	offer, err := p.Offer(ctx, t)
	return "it would make " + t.String(), offer.Lacks, err
}

func attachable(ctx context.Context, p cluster.Provider) (string, cluster.Lacks, error) {
	names, err := p.List(ctx)
	if err != nil {
		return "", nil, err
	}
	if len(names) == 0 {
		return "", nil, errors.New("it finds no cluster")
	}
	c, err := p.Attach(ctx, names[0])
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("it attaches to %s, %s", names[0], c.Topology()), c.Lacks(), nil
}
