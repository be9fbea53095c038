package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
)

// machineCommand is a switch: what it turns off is a fault by hand like any other.
func machineCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "machine", Short: "Switch a machine off or on, or freeze it",
		Example: "  drydock machine off worker-1      # power is cut: nothing is flushed\n  drydock machine freeze worker-1   # all its processes stop, its kernel goes on\n  drydock machine on worker-1",
		Long:    "What is off or frozen is a fault by hand, machinePowerOff or machineFreeze: `drydock fault list` shows it.",
	}
	for _, v := range []struct{ word, kind, about string }{
		{"off", "machinePowerOff", "Cut a machine's power"}, {"freeze", "machineFreeze", "Stop all that runs on a machine; its kernel goes on"},
	} {
		var f faultFlags
		sub := &cobra.Command{Use: v.word + " MACHINE", Short: v.about, Args: cobra.ExactArgs(1), Example: "  drydock machine " + v.word + " worker-1", RunE: func(cmd *cobra.Command, args []string) error {
			return o.inject(cmd, &f, v.kind, []string{"target=" + args[0]})
		}}
		f.add(o, sub)
		f.addInject(sub)
		sub.ValidArgsFunction = o.completeMachines(&f.name)
		c.AddCommand(sub)
	}
	var f faultFlags
	on := &cobra.Command{
		Use: "on MACHINE", Short: "Switch a machine on that is off, and let one go on that is frozen", Args: cobra.ExactArgs(1),
		Example: "  drydock machine on worker-1",
		RunE:    func(cmd *cobra.Command, args []string) error { return o.machineOn(cmd, f.name, args[0]) },
	}
	f.add(o, on)
	on.ValidArgsFunction = o.completeMachines(&f.name)
	c.AddCommand(on)
	return c
}

// machineOn undoes what was done to the machine's switch by hand, and turns it on whoever else has turned it off.
func (o *options) machineOn(cmd *cobra.Command, name, machine string) error {
	return o.inHand(cmd.Context(), name, func(h *experiment.Hand) error {
		guards, err := h.Find(nil)
		if err != nil {
			return err
		}
		undone := false
		for _, g := range guards {
			r := g.Receipt()
			if r.Fault != "machinePowerOff" && r.Fault != "machineFreeze" || !slices.Contains(r.Machines, machine) {
				continue
			}
			if len(r.Machines) > 1 {
				return cluster.Usagef("%s is held with others by fault %s (%s on %s): drydock fault clear %s --name %s", machine, g.ID, r.Fault, g.Where(), g.ID, name)
			}
			if err := o.clear(cmd, h, name, g); err != nil {
				return err
			}
			undone = true
		}
		if undone {
			return nil
		}
		m, err := h.Machine(machine)
		if err != nil {
			return err
		}
		p, err := cluster.As[cluster.Power](m)
		if err != nil {
			return err
		}
		on, err := p.Powered(cmd.Context())
		if err != nil || on {
			printf(cmd.OutOrStdout(), "%s is on\n", machine)
			return err
		}
		done := o.progress.Phase("switch %s on", machine)
		err = p.On(cmd.Context())
		done(err)
		return err
	})
}
