package aksengine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/standin"
	"drydock.dev/drydock/harness/plan"
)

// The checks that are counted.
const (
	etcdQuorum            = "etcdQuorum"
	driverReportedSuccess = "driverReportedSuccess"
)

// checks are what is true of a cell.
func (c judged) checks() []plan.Check {
	if len(c.Commands) == 0 {
		return []plan.Check{{Name: upgradedOrStopped, When: c.Cell.label(), Verdict: plan.Unknown, Message: "no command ended"}}
	}
	out := []plan.Check{c.bit(), c.quorum(), c.honest(), c.advised(), c.upgraded(), c.clean(), c.budgets()}
	return slices.DeleteFunc(out, func(k plan.Check) bool { return k.Name == "" })
}

func (c judged) check(name string, fails []string, ok string) plan.Check {
	k := plan.Check{Name: name, When: c.Cell.label(), Verdict: plan.Pass, Message: ok}
	if len(fails) > 0 {
		k.Verdict, k.Message = plan.Fail, strings.Join(fails, "; ")
	}
	return k
}

// bit asks whether what was to go wrong did: of what did not, nothing is shown.
func (c judged) bit() plan.Check {
	var good, bad []string
	if c.Cell.Fault != nil {
		if len(c.Faults) == 0 || c.Faults[0].Struck == 0 {
			bad = append(bad, "the fault struck nothing: the tool made no such call")
		} else {
			good = append(good, fmt.Sprintf("the fault struck %d times", c.Faults[0].Struck))
		}
	}
	for what, master := range map[string]*int{standin.KubeletEnded: c.Cell.DeadKubelet, standin.PoweredOff: c.Cell.Lost} {
		if master == nil {
			continue
		}
		if said := fmt.Sprintf("master %d: %s", *master, what); c.changed(*master, what) {
			good = append(good, said)
		} else {
			bad = append(bad, "it never came to "+said)
		}
	}
	k := plan.Check{Name: "faultBit", When: c.Cell.label(), Verdict: plan.Pass}
	switch {
	case len(bad) > 0:
		slices.Sort(bad)
		k.Verdict, k.Message = plan.Unknown, strings.Join(bad, "; ")
	case len(good) == 0:
		return plan.Check{}
	default:
		slices.Sort(good)
		k.Message = strings.Join(good, "; ")
	}
	return k
}

// changed reports whether something was done to a master, by its number, from the first command on.
func (c judged) changed(master int, what string) bool {
	from, _ := c.span()
	return slices.ContainsFunc(c.Changes, func(ch standin.Change) bool {
		return !ch.Time.Before(from) && strings.HasSuffix(ch.What, fmt.Sprintf("-%d: %s", master, what))
	})
}

// quorum asks whether a command has ever taken away a master that a majority needed. One that the cell itself takes is nobody's doing.
func (c judged) quorum() plan.Check {
	if !slices.ContainsFunc(c.Changes, func(ch standin.Change) bool { return ch.Members >= c.story.Masters }) {
		return plan.Check{Name: etcdQuorum, When: c.Cell.label(), Verdict: plan.Unknown, Message: "nobody has told how many masters were alive"}
	}
	var fails []string
	for _, cmd := range c.Commands {
		end := cmd.Begun.Add(cmd.Took)
		took := func(ch standin.Change) bool {
			return !ch.Quorum && ch.Members >= c.story.Masters && strings.HasSuffix(ch.What, standin.Gone) && !ch.Time.Before(cmd.Begun) && !ch.Time.After(end)
		}
		if i := slices.IndexFunc(c.Changes, took); i >= 0 && c.story.Masters > 1 {
			alive, without := c.lowest(cmd.Begun, end)
			fails = append(fails, fmt.Sprintf("%s: %s, %d of %d masters alive, no quorum for %s", cmd.short(), c.Changes[i].What, alive, c.story.Masters, without.Round(time.Second)))
		}
	}
	from, to := c.span()
	alive, without := c.lowest(from, to)
	ok := fmt.Sprintf("%d of %d masters alive at least", alive, c.story.Masters)
	if without > 0 {
		ok += fmt.Sprintf(": there was no quorum for %s, and none of these was taken away by a command", without.Round(time.Second))
	}
	return c.check(etcdQuorum, fails, ok)
}

// short is a command as people tell it from the others.
func (c Command) short() string {
	if strings.Contains(c.Command, "--force") {
		return "upgrade --force"
	}
	return "upgrade"
}

// honest asks whether the tool says that it went well when the cluster is not what was asked for.
func (c judged) honest() plan.Check {
	var fails []string
	for i, cmd := range c.Commands {
		if wrong := c.wrong(cmd.After); cmd.Code == 0 && len(wrong) > 0 {
			fails = append(fails, fmt.Sprintf("command %d, %s, ended 0, and %s", i+1, cmd.short(), strings.Join(wrong, ", ")))
		}
	}
	k := c.check(driverReportedSuccess, fails, "wherever it ended 0, the cluster was what it says")
	if len(fails) > 0 {
		k.Message = "the driver reported success: " + k.Message
	}
	return k
}

// toDo is before what a command says that its user is to do.
const toDo = "What to do: "

// advises reports whether a command that did not end well says what to do.
func (c Command) advises() bool { return strings.Contains(c.Said, toDo) }

// advised asks whether every command that stopped says what to do. AKS Engine promises no such thing, and is not asked.
func (c judged) advised() plan.Check {
	if c.Cell.Strategy != ByReplace {
		return plan.Check{}
	}
	var fails []string
	stopped := 0
	for i, cmd := range c.Commands {
		if cmd.Code == 0 {
			continue
		}
		if stopped++; !cmd.advises() {
			fails = append(fails, fmt.Sprintf("command %d, %s, ended %d and does not say what to do: %s", i+1, cmd.short(), cmd.Code, cmd.Said))
		}
	}
	return c.check("saysWhatToDo", fails, fmt.Sprintf("%d of %d commands stopped, and each says what to do", stopped, len(c.Commands)))
}

// stopped reports whether the last command did not end well, and says what to do.
func (c judged) stopped() bool {
	n := len(c.Commands)
	return n == rounds && c.Commands[n-1].Code != 0 && c.Commands[n-1].advises()
}

// upgradedOrStopped is the check that a cell is for.
const upgradedOrStopped = "upgradedOrStopped"

// upgraded asks what the three commands have come to: an upgraded cluster, or a stop that says what to do. Whether that was a safe one other checks say.
func (c judged) upgraded() plan.Check {
	last := c.Commands[len(c.Commands)-1]
	if c.stopped() {
		return c.check(upgradedOrStopped, nil, fmt.Sprintf("not upgraded: %s, the last, stopped, and says what to do: %s", last.short(), last.Said))
	}
	fails := c.wrong(last.After)
	if last.Code != 0 {
		fails = append([]string{fmt.Sprintf("%s, the last, ended %d: %s", last.short(), last.Code, last.Said)}, fails...)
	}
	if len(c.Commands) < rounds {
		return plan.Check{Name: upgradedOrStopped, When: c.Cell.label(), Verdict: plan.Unknown, Message: fmt.Sprintf("%d of %d commands ended", len(c.Commands), rounds)}
	}
	return c.check(upgradedOrStopped, fails, fmt.Sprintf("%d machines run %s and are Ready", len(last.After.Machines), c.story.To))
}

// rounds are the commands of a cell.
const rounds = 3

// wrong is what of a cluster is not as it should be after an upgrade.
func (c judged) wrong(a After) (out []string) {
	masters, agents := 0, 0
	for _, m := range a.Machines {
		if m.Pool == provider.MasterPool {
			masters++
		} else {
			agents++
		}
		out = append(out, c.machine(m, a.Nodes)...)
	}
	if masters != c.story.Masters {
		out = append([]string{fmt.Sprintf("%d of %d masters are there", masters, c.story.Masters)}, out...)
	}
	if agents != c.story.Agents {
		out = append(out, fmt.Sprintf("%d agents instead of %d", agents, c.story.Agents))
	}
	for _, n := range a.Nodes {
		switch {
		case slices.ContainsFunc(a.Machines, func(m Machine) bool { return m.Name == n.Name }):
		case n.Up:
			out = append(out, fmt.Sprintf("machine %s is up, and the cloud has none of that name", n.Name))
		case n.Master || c.story.Pool != PoolScaleSet: // those of instances the tool leaves to the cloud's controller, which a stand-in has not
			out = append(out, fmt.Sprintf("node %s is of a machine that is gone", n.Name))
		}
	}
	return out
}

// machine is what is wrong with one: its tag has to be what it runs, and its node Ready now.
func (c judged) machine(m Machine, nodes []standin.Node) (out []string) {
	i := slices.IndexFunc(nodes, func(n standin.Node) bool { return n.Name == m.Name })
	switch {
	case i < 0:
		return []string{m.Name + " has no node"}
	case !nodes[i].Up:
		return []string{m.Name + " is down"}
	case !nodes[i].Kubelet:
		out = append(out, m.Name+"'s kubelet does not run")
	case m.Version == "" && nodes[i].Version != c.story.To: // an instance of a scale set, which has no tags of its own
		out = append(out, fmt.Sprintf("%s runs %s", m.Name, nodes[i].Version))
	case m.Version != "" && nodes[i].Version != m.Version:
		out = append(out, fmt.Sprintf("%s runs %s, and its tag says %s", m.Name, nodes[i].Version, m.Version))
	case !nodes[i].Told:
		out = append(out, m.Name+" is not Ready")
	}
	if m.Version != "" && m.Version != c.story.To {
		out = append(out, fmt.Sprintf("%s is of %s", m.Name, m.Version))
	}
	if m.State != arm.Succeeded {
		out = append(out, fmt.Sprintf("%s is %s to the cloud", m.Name, m.State))
	}
	return out
}

// clean asks what is left in the cloud that belongs to nothing. Of an upgrade that has stopped on its way that is not known before it has gone on.
func (c judged) clean() plan.Check {
	if c.stopped() {
		return plan.Check{}
	}
	return c.check("armResidue", c.Commands[len(c.Commands)-1].After.Residue, "nothing is left that belongs to no machine")
}

// budgets asks whether the tool by itself was throttled: by a policy, and not by the fault.
func (c judged) budgets() plan.Check {
	n, first, calls := 0, "", 0
	for _, call := range c.Calls {
		if !call.Beside() {
			calls++
		}
		if call.Throttled != "" && call.Fault == "" {
			if n++; n == 1 {
				first = call.Operation + " by " + call.Throttled
			}
		}
	}
	var fails []string
	if n > 0 {
		fails = append(fails, fmt.Sprintf("%d calls were throttled by the policy, the first %s", n, first))
	}
	if len(fails) == 0 && (c.Lost > 0 || calls == 0) {
		return plan.Check{Name: "budgets", When: c.Cell.label(), Verdict: plan.Unknown, Message: fmt.Sprintf("the twin's log has %d calls, and had no room for %d before them", calls, c.Lost)}
	}
	return c.check("budgets", fails, fmt.Sprintf("%d calls, and no budget was used up", calls))
}
