package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace"
)

type upgradeFlags struct {
	spec     upgrade.Spec
	arm      readyFlag // the twin whose virtual machines the machines are
	name     string
	specFile string
	out      string
	resume   bool
	planOnly bool
	ofRun    bool
	json     bool
}

func (f *upgradeFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.name, "name", defaultName, "name of the cluster")
	fl.StringVar(&f.spec.To, "to", "", "version to upgrade to, vX.Y or vX.Y.Z; of --strategy etcd one of etcd")
	fl.StringVar(&f.spec.EtcdVersion, "etcd-version", "", "of kubeadm: version of etcd that the members on the control planes go to (default kubeadm's own, or what the cluster's configuration names)")
	fl.StringSliceVar(&f.spec.Via, "via", nil, "versions in between, when --to is more than one minor ahead")
	fl.StringVar(&f.spec.Strategy, "strategy", "", "kubeadm: in place; replace: new virtual machines through the Resource Manager of --ready-file; or etcd: members of an etcd that is no static pod (default kubeadm)")
	fl.StringVar(&f.spec.Workers, "workers", "", "how workers are upgraded: rolling, all-at-once or surge (default rolling, of replace surge)")
	fl.IntVar(&f.spec.MaxUnavailable, "max-unavailable", 1, "workers at a time when rolling")
	fl.BoolVar(&f.spec.ControlPlaneOnly, "control-plane-only", false, "leave the workers at their version")
	fl.BoolVar(&f.spec.Force, "force", false, "allow the same version and a downgrade by one minor, and go on in spite of preflight's findings; of replace, also make a new machine anew that is not well")
	fl.BoolVar(&f.spec.RestoreSnapshot, "restore-snapshot", false, "when a control plane's rollback does not make it well, take etcd back to the snapshot: writes since are lost")
	fl.DurationVar(&f.spec.DrainTimeout, "drain-timeout", 0, "of one machine, also --cordon-drain-timeout (default 2m, of replace 20m)")
	fl.DurationVar(&f.spec.MachineTimeout, "machine-timeout", 0, "from an upgraded machine to a healthy one, also --vm-timeout (default 5m, of etcd 2m; of replace each of deleting, deploying and that, 20m)")
	f.arm.add(c)
	fl.StringVar(&f.spec.Template, "template", "", "of replace: file with the template of a machine (default one that makes it as the old one was)")
	fl.StringSliceVar(&f.spec.ScaleSets, "scale-sets", nil, "of replace: scale sets whose instances are nodes of the cluster too")
	fl.StringVar(&f.spec.Parameters, "parameters", "", "of replace: file with the template's parameters that Drydock does not know")
	fl.SetNormalizeFunc(asAKSEngine)
	_ = c.RegisterFlagCompletionFunc("strategy", cobra.FixedCompletions([]string{upgrade.Kubeadm, upgrade.Replace, upgrade.Etcd}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("workers", cobra.FixedCompletions([]string{upgrade.Rolling, upgrade.AllAtOnce, upgrade.Surge}, cobra.ShellCompDirectiveNoFileComp))
}

// asAKSEngine takes what AKS Engine calls a flag for ours.
func asAKSEngine(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "cordon-drain-timeout":
		name = "drain-timeout"
	case "vm-timeout":
		name = "machine-timeout"
	}
	return pflag.NormalizedName(name)
}

// upgradeDir is where a lab keeps its upgrade.
const upgradeDir = "upgrade"

// attach finds the cluster, and where the upgrade's journal is. It goes with the cluster: one of an earlier cluster by that name must not pass for
// this one's.
func (f *upgradeFlags) attach(ctx context.Context, o *options) (cluster.Cluster, error) {
	if !f.resume && f.specFile == "" { // a mistake in it is a mistake on whatever cluster
		if _, err := f.spec.Complete(); err != nil {
			return nil, err
		}
	}
	c, err := o.attach(ctx, f.name)
	if err == nil && f.out == "" {
		f.out = filepath.Join(c.Dir(), upgradeDir)
	}
	return c, err
}

func (f *upgradeFlags) snapshots() string { return filepath.Join(f.out, plan.SnapshotsDir) }

func upgradeCommand(o *options) *cobra.Command {
	var f upgradeFlags
	c := &cobra.Command{
		Use: "upgrade", Short: "Upgrade a running cluster, one machine at a time, and prove each step", Args: cobra.ArbitraryArgs,
		Example: "  drydock upgrade --to v1.36\n  drydock upgrade --to v1.36 --plan\n  drydock upgrade --resume\n  drydock upgrade --to v1.36 -- ./my-upgrade.sh --fast\n  drydock upgrade --strategy etcd --to v3.6",
		Long: `Upgrade refuses what preflight finds unsafe before it touches anything (exit code 2). Then, machine by machine: drain, kubeadm upgrade,
kubelet, uncordon, and a gate that lets nobody pass until the machine and what it shares with the others are well. A machine that fails
is rolled back and the upgrade stops (exit code 1).

Every step looks at the machine before it acts, so after an interrupt of any kind the same command again, or --resume, goes on where the
machines are. With a command after -- that program does the upgrade, and Drydock checks before and after; it finds KUBECONFIG,
DRYDOCK_CLUSTER, DRYDOCK_FROM, DRYDOCK_TO, DRYDOCK_PATH (versions, by commas), DRYDOCK_CONTROL_PLANES, DRYDOCK_WORKERS (machines, by commas)
and DRYDOCK (this program, for "$DRYDOCK shell MACHINE -- COMMAND") in its environment.

With --strategy replace no machine is changed: each is drained, its virtual machine, interface and system disk are deleted through an Azure Resource
Manager, and a template makes it anew, workers with one machine more meanwhile, as AKS Engine does; nobody goes on before the new one is seen to be
another machine and well. A call that is refused (429) is made again as the answer says, within a budget; when that is gone the upgrade stops and says
what to do. What was interrupted at whatever call goes on by the same command again.

With --strategy etcd the members of an etcd that stands alone, or beside the control planes, go to another version of etcd, one at a time: another member
leads first, then the new program takes the old one's place, and nobody goes on before the member votes, holds what the others hold and goes on with them. One
that crashes again and again is taken back at once, with its own words. Preflight knows the pairs of versions that are known to end badly, and compares the
members in each database with those of the cluster. --force also goes down, to an older minor version by etcd's own downgrade.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				f.spec.Strategy, f.spec.Command = upgrade.Command, args
			}
			return o.upgrade(cmd, f)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&f.resume, "resume", false, "go on with the upgrade that was begun, with its own settings")
	c.Flags().BoolVar(&f.planOnly, "plan", false, "print the plan and touch nothing")
	c.Flags().StringVar(&f.out, "out", "", "directory for the journal and the etcd snapshots (default in the cluster's own, which goes with it)")
	c.Flags().StringVar(&f.specFile, "spec", "", "file with the settings")
	c.Flags().BoolVar(&f.ofRun, "of-run", false, "the cluster belongs to the run that has started this")
	_ = errors.Join(c.Flags().MarkHidden("spec"), c.Flags().MarkHidden("of-run"))
	return c
}

func preflightCommand(o *options) *cobra.Command {
	var f upgradeFlags
	c := &cobra.Command{
		Use: "preflight", Short: "Say what stands against an upgrade of a running cluster, and touch nothing", Args: cobra.NoArgs,
		Example: "  drydock preflight --to v1.36\n  drydock preflight --to v1.36 --json",
		Long:    "Preflight looks at everything an upgrade would refuse for. Exit codes: 0 nothing blocks, 1 something does, 2 usage or environment error.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.attach(cmd.Context(), o)
			if err != nil {
				return err
			}
			u, err := openUpgrade(cmd.Context(), c, &f)
			if err != nil {
				return err
			}
			defer func() { _ = u.Target.Members.Close() }()
			p, err := o.open()
			if err != nil {
				return err
			}
			u.Chooser, _ = p.(cluster.EtcdChooser)
			done := o.progress.Phase("preflight of %s", u.Path)
			found, err := u.Preflight(cmd.Context())
			done(err)
			if err != nil {
				return err
			}
			if why := lacks(u, c); why != "" { // what stands against the upgrade stands against it whoever does it
				printf(os.Stderr, "Drydock's own steps cannot be done there, %s; your own program can upgrade, behind --\n", why)
			}
			return showFindings(cmd, u, found, f.json)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&f.json, "json", false, "print the findings as JSON")
	return c
}

// lacks says what the machines cannot do of what the upgrade needs; empty: nothing.
func lacks(u *upgrade.Upgrade, c cluster.Cluster) string { return c.Lacks().Why(u.Spec.Needs()...) }

func showFindings(cmd *cobra.Command, u *upgrade.Upgrade, found []plan.Finding, asJSON bool) error {
	out, blocked := cmd.OutOrStdout(), false
	for _, f := range found {
		blocked = blocked || f.Blocks()
	}
	if asJSON {
		if found == nil {
			found = []plan.Finding{}
		}
		if err := printJSON(out, found); err != nil {
			return fmt.Errorf("preflight: %w", err)
		}
	} else {
		printf(out, "%s", foundWords(found))
		printf(out, "%s: %d findings", u.Path, len(found))
		if blocked {
			printf(out, ", of which some block the upgrade\n")
		} else {
			printf(out, ", none blocks the upgrade\n")
		}
	}
	if blocked {
		return codeError{exitNoGo}
	}
	return nil
}

// foundWords are findings for people, in lines.
func foundWords(found []plan.Finding) (out string) {
	for _, f := range found {
		out += fmt.Sprintf("%-8s %s: %s\n         why: %s\n         fix: %s\n", strings.ToUpper(string(f.Severity)), f.Check, f.What, f.Why, f.Fix)
	}
	return out
}

// openUpgrade looks which version the cluster has, and asks the policy for the path.
func openUpgrade(ctx context.Context, c cluster.Cluster, f *upgradeFlags) (_ *upgrade.Upgrade, err error) {
	if f.specFile != "" {
		if f.spec, err = upgrade.ReadSpec(f.specFile); err != nil {
			return nil, err
		}
	}
	spec, err := f.spec.Complete()
	if err != nil {
		return nil, err
	}
	if err := spec.Fits(c.Topology()); err != nil {
		return nil, err
	}
	target, observer, err := watched(ctx, c)
	if err != nil {
		return nil, err
	}
	from, err := upgrade.Observed(ctx, spec, target, observer, f.snapshots())
	spec, from, err = upgrade.Resumed(f.out, spec, from, err)
	var u *upgrade.Upgrade
	if err == nil {
		u, err = upgrade.New(spec, from, c.Topology())
	}
	if err == nil {
		err = replace.Take(u)
	}
	if err != nil {
		return nil, errors.Join(err, target.Members.Close())
	}
	u.Target, u.Observer, u.Dir, u.Cloud = target, observer, f.snapshots(), f.arm.file
	return u, nil
}

func (o *options) upgrade(cmd *cobra.Command, f upgradeFlags) error {
	ctx := cmd.Context()
	c, err := f.attach(ctx, o)
	if err != nil {
		return err
	}
	if f.resume {
		f.specFile = f.out
	}
	u, err := openUpgrade(ctx, c, &f)
	if err != nil {
		return err
	}
	defer func() { _ = u.Target.Members.Close() }()
	if why := lacks(u, c); why != "" {
		return cluster.Usagef("cluster %q cannot be upgraded by Drydock, %s; your own program can, behind --", f.name, why)
	}
	for _, g := range u.Path.GivesUp {
		printf(os.Stderr, "warning: %s\n", g)
	}
	p := &plan.Plan{Header: []string{"upgrade of " + f.name + ": " + u.Describe()}, Steps: u.Steps()}
	p.Number()
	if f.planOnly {
		return p.Print(cmd.OutOrStdout())
	}
	w := work{cluster: c, ofRun: f.ofRun, dir: f.out, ended: upgrade.Ended, plan: p, again: "drydock upgrade --resume --name " + f.name}
	err = o.carryOut(ctx, w, func(claim *plan.Claim) error {
		u.Accepted = func(found []plan.Finding) error {
			if words := foundWords(found); words != "" { // warnings, and what force goes over
				o.progress.say(strings.TrimSuffix(words, "\n"))
			}
			return claim.Keep(u.Begun())
		}
		if claim.Resumed {
			printf(os.Stderr, "an upgrade was begun before and is not finished: what is done already is skipped\n")
		}
		return o.provideFor(ctx, u, c)
	})
	if err != nil {
		return err
	}
	printf(cmd.OutOrStdout(), "%s runs %s\n", f.name, u.Spec.To)
	return nil
}

// provideFor gets the programs of every version on the path, and what the user's own program needs.
func (o *options) provideFor(ctx context.Context, u *upgrade.Upgrade, c cluster.Cluster) error {
	h, err := o.host()
	if err != nil {
		return err
	}
	p, err := h.Open(o.provider)
	if err != nil {
		return err
	}
	if err := u.Provide(ctx, p); err != nil {
		return err
	}
	if !c.Topology().Kubernetes() {
		return nil
	}
	kubeconfig, err := cluster.KubeconfigFile(ctx, c)
	if err != nil {
		return err
	}
	u.Env = append([]string{"KUBECONFIG=" + kubeconfig}, h.Env(o.provider)...)
	return nil
}
