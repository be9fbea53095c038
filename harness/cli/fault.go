package cli

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
)

// faultFlags are of what is done by hand to one cluster.
type faultFlags struct {
	name   string
	seed   int64
	expect string
	json   bool
}

func (f *faultFlags) add(o *options, c *cobra.Command) {
	c.Flags().StringVar(&f.name, "name", defaultName, "name of the cluster")
	_ = c.RegisterFlagCompletionFunc("name", o.completeClusters)
}

func (f *faultFlags) addInject(c *cobra.Command) {
	c.Flags().Int64Var(&f.seed, "seed", 1, "what chooses, where the fault leaves a choice")
	c.Flags().StringVar(&f.expect, "expect", "", experiment.ExpectQuorumLost+": it may leave etcd no quorum; "+experiment.ExpectWritesRefused+": it may have etcd refuse all writes")
	_ = c.RegisterFlagCompletionFunc("expect", cobra.FixedCompletions([]string{experiment.ExpectQuorumLost, experiment.ExpectWritesRefused}, cobra.ShellCompDirectiveNoFileComp))
}

func faultCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "fault", Short: "Break a cluster that is up by hand, see what is broken, and mend it",
		Example: "  drydock fault inject etcdMemberCrash target=leader          # until it is cleared\n" +
			"  drydock fault inject partition target=minority way=out for=30s\n" +
			"  drydock fault list\n  drydock fault clear",
		Long: "Faults by hand are journalled as those of a run are, before they happen, and each is seen to be effective by somebody other than the injector. The\n" +
			"journal goes with the cluster: `drydock fault clear` undoes them, `drydock heal` as well, and no run takes the cluster (run --on) before.",
	}
	c.AddCommand(faultInject(o), faultList(o), faultClear(o))
	return c
}

func faultInject(o *options) *cobra.Command {
	var f faultFlags
	c := &cobra.Command{
		Use: "inject KIND [PARAM=VALUE…]", Short: "Inject a fault and await its effect", Args: cobra.MinimumNArgs(1),
		Example: "  drydock fault inject machinePowerOff target=worker-1\n  drydock fault inject etcdMemberFreeze target=follower for=20s",
		Long: "Inject does one fault (`drydock scenarios parts` lists the kinds) to a cluster that is up. PARAM is as in a scenario: target, for, and what the kind takes. With\n" +
			"for=DURATION it is undone after that; without, it stays until `drydock fault clear`. A fault that would cost etcd its quorum, with all that is in place,\n" +
			"is refused unless it is expected.\n\nExit codes: 0 it was effective, 1 no effect was seen, or it was interrupted, and it was undone, or its end was not seen, 2 usage or environment error.",
		RunE: func(cmd *cobra.Command, args []string) error { return o.inject(cmd, &f, args[0], args[1:]) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeFault(args)
		},
	}
	f.add(o, c)
	f.addInject(c)
	return c
}

func completeFault(args []string) (words []string, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		for _, k := range fault.List() {
			if !k.Latent && !k.OfTwin {
				words = append(words, k.Name+"\t"+k.About)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
	k, err := fault.Find(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, p := range append([]string{"target", "for"}, k.Takes...) {
		words = append(words, p+"=")
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// inHand attaches to the cluster and does something with it in hand.
func (o *options) inHand(ctx context.Context, name string, do func(h *experiment.Hand) error) error {
	p, err := o.open()
	if err != nil {
		return err
	}
	c, err := p.Attach(ctx, name)
	if err != nil {
		return err
	}
	h, err := experiment.TakeInHand(ctx, p.Name(), c)
	if err != nil {
		return err
	}
	return errors.Join(do(h), h.Close(ctx))
}

func (o *options) inject(cmd *cobra.Command, f *faultFlags, kind string, words []string) error {
	asked, err := experiment.FaultOf(kind, words)
	if err != nil {
		return err
	}
	return o.inHand(cmd.Context(), f.name, func(h *experiment.Hand) error {
		ctx, out := cmd.Context(), cmd.OutOrStdout()
		spec, err := h.Plan(asked, f.seed, f.expect)
		if err != nil {
			return err
		}
		about := spec.Describe()
		if asked.Until() {
			about = spec.DescribeUntil("it is cleared")
		}
		done := o.progress.Phase("%s", about)
		g, err := h.Inject(ctx, spec)
		done(err)
		if err != nil {
			printf(os.Stderr, "drydock: %v\n", err)
			return codeError{exitNoGo}
		}
		r := g.Receipt()
		printf(out, "fault %s: %s on %s\n", g.ID, spec.Kind, g.Where())
		for _, e := range r.Evidence {
			printf(out, "  %s  %s: %s\n", e.Time.Format(time.TimeOnly), e.Observer, e.Saw)
		}
		if asked.Until() {
			printf(out, "It stays until: drydock fault clear %s --name %s\n", g.ID, f.name)
			return nil
		}
		done = o.progress.Phase("hold for %s", spec.For)
		select {
		case <-time.After(time.Until(r.EffectiveAt.Add(spec.For))):
		case <-ctx.Done(): // undone all the same
		}
		cut := context.Cause(ctx)
		done(cut)
		if err := o.clear(cmd, h, f.name, g); err != nil || cut == nil {
			return err
		}
		return codeError{exitNoGo} // whoever waits for it to have held so long is not told that it has
	})
}

// clear undoes faults, and says of each whether it is over.
func (o *options) clear(cmd *cobra.Command, h *experiment.Hand, name string, guards ...*fault.Guard) error {
	if len(guards) == 0 {
		return nil
	}
	done := o.progress.Phase("undo %s", experiment.Named(guards))
	errs := h.Clear(cmd.Context(), guards...)
	done(errors.Join(errs...))
	var code error
	for i, g := range guards {
		if errs[i] != nil {
			printf(os.Stderr, "drydock: fault %s: %v; it counts as in place until its end is seen: drydock fault clear %s --name %s\n", g.ID, errs[i], g.ID, name)
			code = codeError{exitNoGo}
			continue
		}
		printf(cmd.OutOrStdout(), "fault %s: %s on %s: undone\n", g.ID, g.Spec.Kind, g.Where())
	}
	return code
}

func faultClear(o *options) *cobra.Command {
	var f faultFlags
	c := &cobra.Command{
		Use: "clear [ID…]", Short: "Undo the faults that were injected by hand, or those with these numbers, the newest first",
		Example: "  drydock fault clear\n  drydock fault clear 2 --name five",
		Long:    "Clear undoes them and sees that all is as before. Exit codes: 0 it is, 1 its end was not seen, 2 usage or environment error.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			return o.inHand(cmd.Context(), f.name, func(h *experiment.Hand) error {
				guards, err := h.Find(ids)
				if err != nil {
					return err
				}
				if len(guards) == 0 {
					printf(cmd.OutOrStdout(), "No fault is in place\n")
				}
				return o.clear(cmd, h, f.name, guards...)
			})
		},
	}
	f.add(o, c)
	c.ValidArgsFunction = func(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		return o.completePlaced(cmd.Context(), f.name, given)
	}
	return c
}

// completePlaced gives the numbers of the faults in place that are not given yet, each with what it is.
func (o *options) completePlaced(ctx context.Context, name string, given []string) (words []string, _ cobra.ShellCompDirective) {
	c, err := o.attach(ctx, name)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	guards, err := experiment.InPlace(c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return numbers(guards, given), cobra.ShellCompDirectiveNoFileComp
}

func numbers(guards []*fault.Guard, given []string) (words []string) {
	for _, g := range guards {
		if !slices.Contains(given, g.ID) {
			words = append(words, g.ID+"\t"+experiment.Named([]*fault.Guard{g}))
		}
	}
	return words
}

// placedFault is a fault in place as machines read it.
type placedFault struct {
	ID      string       `json:"id"`
	Spec    fault.Spec   `json:"spec"`
	Receipt plan.Receipt `json:"receipt"`
}

func faultList(o *options) *cobra.Command {
	var f faultFlags
	c := &cobra.Command{
		Use: "list", Short: "List the faults that were injected by hand and are not undone", Args: cobra.NoArgs,
		Example: "  drydock fault list\n  drydock fault list --name mine",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.attach(cmd.Context(), f.name)
			if err != nil {
				return err
			}
			guards, err := experiment.InPlace(c)
			if err != nil {
				return err
			}
			return f.list(cmd, guards)
		},
	}
	f.add(o, c)
	c.Flags().BoolVar(&f.json, "json", false, "for machines: specs and receipts")
	return c
}

func (f *faultFlags) list(cmd *cobra.Command, guards []*fault.Guard) error {
	out, in := cmd.OutOrStdout(), []placedFault{}
	for _, g := range guards {
		in = append(in, placedFault{g.ID, g.Spec, g.Receipt()})
	}
	switch {
	case f.json:
		return printJSON(out, in)
	case len(in) == 0:
		printf(out, "No fault is in place\n")
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printf(t, "ID\tFAULT\tTARGET\tMACHINES\tSINCE\tEFFECT SEEN\n")
	for _, p := range in {
		seen := "no"
		if !p.Receipt.EffectiveAt.IsZero() {
			seen = p.Receipt.EffectiveAt.Format(time.TimeOnly)
		}
		printf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.Spec.Kind, p.Spec.Target, strings.Join(p.Receipt.Machines, ","), p.Receipt.Armed.Format(time.DateTime), seen)
	}
	return t.Flush()
}
