package aksengine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/standin"
	"drydock.dev/drydock/harness/plan"
)

const (
	older = "1.23.17"
	newer = "1.24.17"
)

func story() *Story {
	return &Story{From: older, To: newer, Masters: 3, Agents: 1, Pool: PoolAvailabilitySet, Policy: "current", Clock: "20", AtOnce: 1, Patience: time.Minute, Cells: []Cell{{Name: "c"}}}
}

// after is a whole cluster of a version.
func after(version string) After {
	a := After{Residue: []string{}}
	for _, n := range []struct{ name, pool string }{{"k8s-master-0", "master"}, {"k8s-master-1", "master"}, {"k8s-master-2", "master"}, {"k8s-agents-0", "agents"}} {
		a.Machines = append(a.Machines, Machine{Name: n.name, Pool: n.pool, Version: version, State: arm.Succeeded})
		a.Nodes = append(a.Nodes, standin.Node{Name: n.name, Master: n.pool == "master", Up: true, Kubelet: true, Version: version, Boot: 1, Told: true})
	}
	return a
}

// cell is one in which all went well: the upgrade, a rerun that had nothing to do, and one with --force.
func cell() (Told, time.Time) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	t := Told{Cell: Cell{Name: "c", Fault: &azure.Fault{Kind: azure.FaultThrottle}}, Faults: []azure.Fault{{ID: "f", Struck: 3, Began: at, Ended: at.Add(time.Minute)}},
		Calls: []arm.Call{{Time: at, Operation: "DELETE Microsoft.Compute/virtualMachines", Status: 429, Fault: "f", Throttled: ""}, {Time: at, Operation: "GET x", Status: 200}}}
	for i, code := range []int{0, 1, 0} {
		cmd := Command{Ended: Ended{Command: "aks-engine upgrade", Code: code, Begun: at.Add(time.Duration(i) * time.Minute), Took: time.Minute}, After: after(newer)}
		if i == 2 {
			cmd.Command += " --force"
		}
		t.Commands = append(t.Commands, cmd)
	}
	for i := range 3 {
		t.Changes = append(t.Changes, standin.Change{Time: at.Add(-time.Hour), Members: i + 1, Alive: i + 1, Quorum: true})
	}
	t.change(at.Add(10*time.Second), 2, true)
	t.change(at.Add(20*time.Second), 3, true)
	return t, at
}

func (t *Told) change(at time.Time, alive int, quorum bool) {
	t.Changes = append(t.Changes, standin.Change{Time: at, What: "k8s-master-1" + standin.Gone, Members: 3, Alive: alive, Quorum: quorum})
}

// Each row breaks one thing of a cell in which all went well; the check that is named has to see it, and no other.
func TestACellIsJudgedByWhatIsTrue(t *testing.T) {
	for name, x := range map[string]struct {
		breaks  func(c *Told, at time.Time)
		red     string // the checks that are not a pass
		says    string
		verdict plan.Verdict // or stoppedSafely
	}{
		"nothing": {func(*Told, time.Time) {}, "", "", plan.Go},
		"two masters down": {func(c *Told, at time.Time) {
			c.change(at.Add(30*time.Second), 1, false)
			c.change(at.Add(45*time.Second), 3, true)
		}, "etcdQuorum", "upgrade: k8s-master-1 is gone, 1 of 3 masters alive, no quorum for 15s", plan.NoGo},
		"a master is lost by the cell's own doing while another is down": {func(c *Told, at time.Time) {
			c.change(at.Add(30*time.Second), 1, false)
			c.Changes[len(c.Changes)-1].What = "k8s-master-2: powerOff"
			c.change(at.Add(45*time.Second), 3, true)
		}, "", "", plan.Go},
		"and the tool takes another away then": {func(c *Told, at time.Time) {
			c.change(at.Add(30*time.Second), 1, false)
			c.Changes[len(c.Changes)-1].What = "k8s-master-2: powerOff"
			c.change(at.Add(40*time.Second), 0, false)
			c.change(at.Add(45*time.Second), 3, true)
		}, "etcdQuorum", "0 of 3 masters alive", plan.NoGo},
		"ours stops and says what to do": {func(c *Told, _ time.Time) {
			c.Cell.Strategy = ByReplace
			for i := range c.Commands {
				c.Commands[i].Code, c.Commands[i].Said, c.Commands[i].After = 1, "boom. What to do: mend it", after(older)
			}
			c.Commands[2].After.Residue = []string{"disks d is no machine's"} // which it comes back to
		}, "", "", stoppedSafely},
		"ours stops and takes a quorum away": {func(c *Told, at time.Time) {
			c.Cell.Strategy, c.Commands[2].Code, c.Commands[2].Said = ByReplace, 1, "boom. What to do: mend it"
			c.Commands[1].Said = c.Commands[2].Said
			c.change(at.Add(30*time.Second), 1, false)
		}, "etcdQuorum", "", plan.NoGo},
		"ours stops once and does not say what to do": {func(c *Told, _ time.Time) {
			c.Cell.Strategy, c.Commands[1].Said = ByReplace, "boom"
		}, "saysWhatToDo", "command 2, upgrade, ended 1 and does not say what to do: boom", plan.NoGo},
		"ours stopped, and said success before": {func(c *Told, _ time.Time) {
			c.Cell.Strategy, c.Commands[2].Code, c.Commands[2].Said = ByReplace, 1, "boom. What to do: mend it"
			c.Commands[1].Said, c.Commands[0].After = c.Commands[2].Said, after(older)
		}, "driverReportedSuccess", "command 1, upgrade, ended 0", plan.NoGo},
		"a Node whose machine is gone": {func(c *Told, _ time.Time) {
			a := &c.Commands[2].After
			a.Nodes = append(a.Nodes, standin.Node{Name: "k8s-agents-9"})
		}, "driverReportedSuccess upgradedOrStopped", "node k8s-agents-9 is of a machine that is gone", plan.NoGo},
		"two masters down before": {func(c *Told, at time.Time) {
			c.Changes = append([]standin.Change{{Time: at.Add(-time.Hour), Members: 3, Alive: 1}, {Time: at.Add(-time.Minute), Members: 3, Alive: 3, Quorum: true}}, c.Changes[3:]...)
		}, "", "", plan.Go},
		"a master is missing at the end": {func(c *Told, _ time.Time) {
			a := &c.Commands[2].After
			a.Machines, a.Nodes = a.Machines[1:], a.Nodes[1:]
		}, "driverReportedSuccess upgradedOrStopped", "2 of 3 masters are there", plan.NoGo},
		"a master was missing, and the tool said all was well": {func(c *Told, _ time.Time) {
			a := &c.Commands[0].After
			a.Machines, a.Nodes = a.Machines[1:], a.Nodes[1:]
		}, "driverReportedSuccess", "the driver reported success: command 1, upgrade, ended 0, and 2 of 3 masters are there", plan.NoGo},
		"a master was missing, and the tool said so": {func(c *Told, _ time.Time) {
			a := &c.Commands[0].After
			a.Machines, a.Nodes, c.Commands[0].Code = a.Machines[1:], a.Nodes[1:], 1
		}, "", "", plan.Go},
		"a tag that is not what runs":  {func(c *Told, _ time.Time) { c.Commands[2].After.Nodes[1].Version = older }, "driverReportedSuccess upgradedOrStopped", "k8s-master-1 runs 1.23.17, and its tag says 1.24.17", plan.NoGo},
		"a kubelet that does not run":  {func(c *Told, _ time.Time) { c.Commands[2].After.Nodes[0].Kubelet = false }, "driverReportedSuccess upgradedOrStopped", "k8s-master-0's kubelet does not run", plan.NoGo},
		"a node that is not Ready now": {func(c *Told, _ time.Time) { c.Commands[2].After.Nodes[3].Told = false }, "driverReportedSuccess upgradedOrStopped", "k8s-agents-0 is not Ready", plan.NoGo},
		"a machine that is down":       {func(c *Told, _ time.Time) { c.Commands[2].After.Nodes[3].Up = false }, "driverReportedSuccess upgradedOrStopped", "k8s-agents-0 is down", plan.NoGo},
		"an agent too many": {func(c *Told, _ time.Time) {
			a := &c.Commands[2].After
			a.Machines = append(a.Machines, Machine{Name: "k8s-agents-1", Pool: "agents", Version: newer, State: arm.Succeeded})
			a.Nodes = append(a.Nodes, standin.Node{Name: "k8s-agents-1", Up: true, Kubelet: true, Version: newer, Told: true})
		}, "driverReportedSuccess upgradedOrStopped", "2 agents instead of 1", plan.NoGo},
		"a machine that the cloud has not": {func(c *Told, _ time.Time) {
			a := &c.Commands[2].After
			a.Nodes = append(a.Nodes, standin.Node{Name: "k8s-agents-1", Up: true, Kubelet: true, Version: newer, Told: true})
		}, "driverReportedSuccess upgradedOrStopped", "machine k8s-agents-1 is up, and the cloud has none of that name", plan.NoGo},
		"an instance without a tag": {func(c *Told, _ time.Time) { c.Commands[2].After.Machines[3].Version = "" }, "", "", plan.Go},
		"one of the old version": {func(c *Told, _ time.Time) {
			a := &c.Commands[2].After
			a.Machines[3].Version, a.Nodes[3].Version = "", older
		}, "driverReportedSuccess upgradedOrStopped", "k8s-agents-0 runs 1.23.17", plan.NoGo},
		"it gave up":                 {func(c *Told, _ time.Time) { c.Commands[2].Code, c.Commands[2].Said = 1, "boom" }, "upgradedOrStopped", "upgrade --force, the last, ended 1: boom", plan.NoGo},
		"something is left":          {func(c *Told, _ time.Time) { c.Commands[2].After.Residue = []string{"disks d is no machine's"} }, "armResidue", "disks d is no machine's", plan.NoGo},
		"throttled by itself":        {func(c *Told, _ time.Time) { c.Calls[1].Throttled = "Microsoft.Compute/HighCostGet" }, "budgets", "1 calls were throttled by the policy", plan.NoGo},
		"the fault struck nothing":   {func(c *Told, _ time.Time) { c.Faults[0].Struck = 0 }, "faultBit", "the tool made no such call", plan.Inconclusive},
		"the fault was never armed":  {func(c *Told, _ time.Time) { c.Faults = nil }, "faultBit", "", plan.Inconclusive},
		"a command is not there":     {func(c *Told, _ time.Time) { c.Commands = c.Commands[:2] }, "upgradedOrStopped", "2 of 3 commands ended", plan.Inconclusive},
		"nobody told of the masters": {func(c *Told, _ time.Time) { c.Changes = nil }, "etcdQuorum", "nobody has told", plan.Inconclusive},
		"no calls":                   {func(c *Told, _ time.Time) { c.Calls = nil }, "budgets", "0 calls", plan.Inconclusive},
		"calls were lost":            {func(c *Told, _ time.Time) { c.Lost = 40 }, "budgets", "no room for 40", plan.Inconclusive},
		"no kubelet died":            {func(c *Told, _ time.Time) { c.Cell.DeadKubelet = new(int) }, "faultBit", "it never came to master 0: its kubelet has ended", plan.Inconclusive},
		"a kubelet died": {func(c *Told, at time.Time) {
			c.Cell.DeadKubelet = new(int)
			c.Changes = append(c.Changes, standin.Change{Time: at.Add(25 * time.Second), What: "k8s-master-0: its kubelet has ended", Members: 3, Alive: 3, Quorum: true})
		}, "", "", plan.Go},
		"no master was lost": {func(c *Told, at time.Time) {
			c.Cell.Lost = new(int)
			c.Changes = append(c.Changes, standin.Change{Time: at.Add(25 * time.Second), What: "k8s-master-1: powerOff", Members: 3, Alive: 2, Quorum: true})
		}, "faultBit", "it never came to master 0: powerOff", plan.Inconclusive},
		"there is nothing of a cell": {func(c *Told, _ time.Time) { *c = Told{Cell: c.Cell} }, "upgradedOrStopped", "no command ended", plan.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			told, at := cell()
			x.breaks(&told, at)
			var res plan.Result
			story := story()
			story.Cells[0].Strategy = told.Cell.Strategy
			(&Evidence{Story: story, Cells: []Told{told}}).Report(&res)
			var red []string
			text := ""
			for _, k := range res.Checks {
				if k.Verdict != plan.Pass {
					red, text = append(red, k.Name), text+k.Message+"\n"
				}
			}
			if got := strings.Join(red, " "); got != x.red || !strings.Contains(text, x.says) {
				t.Errorf("red are %q, want %q: %s", got, x.red, text)
			}
			if got := res.Tables[1].Rows[0][2]; got != strings.ToUpper(string(x.verdict)) {
				t.Errorf("the table says %s", got)
			}
		})
	}
}

func TestACellThatDidNotRunIsNoPass(t *testing.T) {
	var res plan.Result
	(&Evidence{Story: story()}).Report(&res)
	if len(res.Checks) != 1 || res.Checks[0].Verdict != plan.Unknown {
		t.Errorf("%+v", res.Checks)
	}
}

func TestAStoryIsMultipliedOut(t *testing.T) {
	s := story()
	s.Cells = append(s.Cells, Cell{Name: "d", Lost: &[]int{2}[0]})
	s.Throttled = []Throttled{
		{Operations: []string{"DELETE disks", "CREATE deployments"}, Windows: []Span{time.Second, time.Minute}},
		{Operations: []string{"DELETE disks"}, Polls: true, Windows: []Span{time.Second}},
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if got, want := len(s.All()), 2*3*2+3+2; got != want {
		t.Errorf("%d cells, want %d", got, want)
	}
	if f := s.All()[0].Fault; f.Resource != "disks/k8s-master-*-0_OsDisk*" || f.Operations[0] != "DELETE Microsoft.Compute/disks" || f.For != time.Second {
		t.Errorf("%+v", f)
	}
	s.Strategies = []string{ByAKSEngine, ByReplace}
	s.Cells[0].Strategy = ByAKSEngine
	all := s.All()
	if got, want := len(all), 2*(2*3*2+3)+1+2; got != want {
		t.Errorf("%d cells of two strategies, want %d", got, want)
	}
	for i, want := range []string{"deployments/k8s-upgrade-master-0-*", "deployments/drydock-replace-k8s-master-26658069-0-*"} { // each by what it calls its deployments
		if c := all[2*3*2+i]; c.Strategy != s.Strategies[i] || c.Fault.Resource != want {
			t.Errorf("%s: %+v, want %s", c.Strategy, c.Fault, want)
		}
	}
	for what, breaks := range map[string]func(s *Story){
		"no versions":       func(s *Story) { s.To = "" },
		"another strategy":  func(s *Story) { s.Strategies = []string{"x"} },
		"a cell of another": func(s *Story) { s.Cells[0].Strategy = "x" },
		"two masters":       func(s *Story) { s.Masters = 2 },
		"another pool":      func(s *Story) { s.Pool = "x" },
		"no patience":       func(s *Story) { s.Patience = 0 },
		"a still clock":     func(s *Story) { s.Clock = "virtual" },
		"another policy":    func(s *Story) { s.Policy = "none" },
		"another operation": func(s *Story) { s.Throttled[0].Operations[0] = "DELETE everything" },
		"no window":         func(s *Story) { s.Throttled[0].Windows[0] = 0 },
		"one name twice":    func(s *Story) { s.Cells[1].Name = "c" },
		"no such master":    func(s *Story) { s.Cells[1].Lost = &[]int{3}[0] },
		"no such fault":     func(s *Story) { s.Cells[0].Fault = &azure.Fault{Kind: "x"} },
		"nothing to test":   func(s *Story) { s.Cells, s.Throttled = nil, nil },
	} {
		bad := story()
		bad.Cells, bad.Throttled = append(bad.Cells, Cell{Name: "d"}), []Throttled{{Operations: []string{"DELETE disks"}, Windows: []Span{time.Second}}}
		if breaks(bad); bad.Validate() == nil {
			t.Errorf("%s: it passed", what)
		}
	}
}

func TestWhatTheToolSaidLast(t *testing.T) {
	for text, want := range map[string]string{
		"\x1b[36mINFO\x1b[0m[0012] Finished ARM Deployment (g). Succeeded \n":                                                  "Finished ARM Deployment (g). Succeeded",
		"time=\"2026\" level=info msg=x\n\x1b[33mWARN\x1b[0m[0000] careful \nError: upgrading cluster: boom\nUsage:\n  -f x\n": "upgrading cluster: boom",
		"": "",
		"Error: " + strings.Repeat("x", maxSaid+1) + "\n": strings.Repeat("x", maxSaid) + "…",
	} {
		if got := lastSaid([]byte(text)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := fmt.Sprint(Ended{Code: -1, Said: "not ended after 1m"}.told(), Ended{Code: 1, Took: time.Minute}.told()); got != "not ended after 1mexit 1, 1m0s" {
		t.Error(got)
	}
}

// TestARowSaysAllThatIsNoPass: whichever of them was found first.
func TestARowSaysAllThatIsNoPass(t *testing.T) {
	told, _ := cell()
	c := judged{&told, story()}
	for name, x := range map[string]struct {
		checks  []plan.Check
		verdict string
		why     string
	}{
		"passes":                 {[]plan.Check{{Name: "a", Verdict: plan.Pass}}, "GO", ""},
		"two say nothing":        {[]plan.Check{{Name: "a", Verdict: plan.Unknown}, {Name: "b", Verdict: plan.Pass}, {Name: "c", Verdict: plan.Unknown}}, "INCONCLUSIVE", "a, c"},
		"one fails, then not":    {[]plan.Check{{Name: "a", Verdict: plan.Fail}, {Name: "b", Verdict: plan.Unknown}}, "NO-GO", "a, b"},
		"one says nothing first": {[]plan.Check{{Name: "a", Verdict: plan.Unknown}, {Name: "b", Verdict: plan.Fail}}, "NO-GO", "a, b"},
	} {
		if verdict, why := c.verdict(x.checks); verdict != x.verdict || strings.Join(why, ", ") != x.why {
			t.Errorf("%s: %s, %v", name, verdict, why)
		}
	}
}
