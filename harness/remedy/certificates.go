package remedy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// expiredCertificates is kubeadm's own way ("Certificate Management with kubeadm"): renew what it manages on each control plane, start what uses it anew, and
// of kubelets that have not renewed their own, have a control plane sign one. It works without an API server and without a quorum: both may be away for
// just that reason.
func expiredCertificates() Runbook {
	return Runbook{
		Name: "expired-certificates", Symptom: "certificates of control planes or kubelets have run out, or will within a week",
		Does:       "renew those that kubeadm keeps, on each control plane that has such, start etcd, API server, controller-manager and scheduler there anew, one machine at a time; give kubelets new ones; and see that all are served and taken",
		Kubernetes: true, Needs: []cluster.Capability{cluster.CanKill, cluster.CanDial},
		diagnose: diagnoseCertificates,
		steps: func(r *Remedy) []*plan.Step {
			s := certificateRenewal{r}
			one := func(machine string, components ...string) []plan.Disruption {
				return []plan.Disruption{{Machines: []string{machine}, Components: components}}
			}
			server := []string{observe.APIServer, observe.ControllerManager, observe.Scheduler, observe.Kubelet}
			var renew, members, servers, kubelets []*plan.Step
			for _, m := range r.Topology.ControlPlaneMachines() {
				renew = append(renew, &plan.Step{Name: "renew-" + m, About: "kubeadm certs renew all; what was there is kept", Run: s.on(m, s.renew)})
				if r.Topology.Etcd == cluster.EtcdStacked {
					members = append(members, &plan.Step{Name: "etcd-" + m, About: "start its member anew, where that costs no quorum", Run: s.on(m, s.member), Disrupts: one(m, append([]string{etcd.Program}, server...)...), Lingers: true})
				}
				servers = append(servers, &plan.Step{Name: "servers-" + m, About: "start API server, controller-manager and scheduler anew, in that order", Run: s.on(m, s.servers), Disrupts: one(m, server...), Lingers: true})
			}
			for _, m := range r.Topology.KubernetesMachines() {
				kubelets = append(kubelets, &plan.Step{Name: "kubelet-" + m, About: "a new client certificate, where its own has run out", Run: s.on(m, s.kubelet), Disrupts: one(m, observe.Kubelet), Lingers: true})
			}
			verify := &plan.Step{Name: "verify", About: "good certificates are served, and each component is known by its own", Run: s.verify, Looks: true}
			return append(slices.Concat(renew, members, servers, kubelets), verify)
		},
	}
}

// soon is what counts as run out: who comes for one certificate that has would come again for the next.
const soon = 7 * 24 * time.Hour

// certificateRenewal has the steps.
type certificateRenewal struct{ *Remedy }

// on is a step on a machine.
func (r certificateRenewal) on(machine string, do func(ctx context.Context, m cluster.Machine) error) func(context.Context) error {
	return func(ctx context.Context) error {
		m, err := r.Target.Cluster.Machine(machine)
		if err != nil {
			return err
		}
		return do(ctx, m)
	}
}

// stale are the names of certificates that have run out or will soon.
func stale(list []kubeadm.Expiration, now time.Time) (names []string) {
	for _, e := range list {
		if !e.Missing && e.Until.Before(now.Add(soon)) {
			names = append(names, fmt.Sprintf("%s (%s)", e.Name, e.Until.UTC().Format(time.DateTime)))
		}
	}
	return names
}

// diagnoseCertificates asks kubeadm on every control plane, and reads the certificate of every kubelet.
func diagnoseCertificates(ctx context.Context, r *Remedy) (d Diagnosis, stands []plan.Finding, _ error) {
	d.Expired = map[string][]string{}
	var says []string
	for _, name := range r.Topology.ControlPlaneMachines() {
		m, err := r.Target.Cluster.Machine(name)
		if err != nil {
			return d, stands, err
		}
		ctx, cancel := context.WithTimeout(ctx, expirationsWithin)
		list, authorities, err := kubeadm.Expirations(ctx, m)
		cancel()
		if err != nil {
			stands = append(stands, plan.Finding{
				Check: "machine", Severity: plan.Unread, What: fmt.Sprintf("nobody tells of the certificates of %s: %v", name, err), Why: "they may have run out too, and are renewed on the machine itself",
				Fix: "bring it back: the runbook recover-node",
			})
			continue
		}
		stands = append(stands, unrenewable(name, list, authorities, time.Now())...)
		if names := stale(list, time.Now()); len(names) > 0 {
			d.Expired[name] = names
			says = append(says, name+": "+strings.Join(names, ", "))
		}
	}
	for _, name := range r.Topology.KubernetesMachines() {
		until, err := r.kubeletUntil(ctx, name)
		switch {
		case err != nil:
			stands = append(stands, plan.Finding{
				Check: "machine", Severity: plan.Warning, What: fmt.Sprintf("nobody tells of the certificate of the kubelet on %s: %v", name, err), Why: "it may have run out too, and stays as it is",
				Fix: "bring it back: the runbook recover-node",
			})
		case time.Now().After(until):
			says = append(says, fmt.Sprintf("%s: its kubelet's (%s)", name, until.UTC().Format(time.DateTime)))
		}
	}
	d.Says = strings.Join(says, "; ")
	if len(says) == 0 {
		d.Says = "no certificate that could be read has run out, or will within " + soon.String()
		if plan.Refusal("", stands) == nil {
			d.Nothing = d.Says
		}
		return d, stands, nil
	}
	return d, append(stands, r.costOfRestarts(ctx, d.Expired)...), nil
}

// expirationsWithin is how long kubeadm may take: without an API server it gives up on that first, which took 10 s.
const expirationsWithin = 45 * time.Second

func (r *Remedy) kubeletUntil(ctx context.Context, machine string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, looked)
	defer cancel()
	m, err := r.Target.Cluster.Machine(machine)
	if err != nil {
		return time.Time{}, err
	}
	return kubeadm.KubeletUntil(ctx, m)
}

// unrenewable says what kubeadm does not renew: authorities, and what somebody else's has signed.
func unrenewable(machine string, list, authorities []kubeadm.Expiration, now time.Time) (out []plan.Finding) {
	for _, a := range authorities {
		if !a.Missing && a.Until.Before(now.Add(soon)) {
			out = append(out, plan.Finding{
				Check: "authority", Severity: plan.Blocker, What: fmt.Sprintf("the authority %s on %s runs out at %s", a.Name, machine, a.Until.UTC().Format(time.DateTime)),
				Why: "what it signs is good no longer than itself, and kubeadm does not renew it", Fix: "rotate it by hand (Kubernetes: Manual Rotation of CA Certificates)",
			})
		}
	}
	for _, e := range list {
		if e.External && !e.Missing && e.Until.Before(now.Add(soon)) {
			out = append(out, plan.Finding{
				Check: "authority", Severity: plan.Blocker, What: fmt.Sprintf("%s on %s is signed by an authority whose key is not there", e.Name, machine),
				Why: "kubeadm cannot renew it", Fix: "have its owner sign a new one, or bring the key",
			})
		}
	}
	return out
}

// keptCertificates is where a machine keeps what was renewed; it stays there.
func (r certificateRenewal) keptCertificates() string {
	return "/var/lib/drydock/certificates/" + r.stamp()
}

func (r certificateRenewal) renew(ctx context.Context, m cluster.Machine) error {
	list, _, err := kubeadm.Expirations(ctx, m)
	if err != nil {
		return err
	}
	if len(stale(list, time.Now())) == 0 {
		return fmt.Errorf("%w: none has run out, or will within %s", plan.ErrSkip, soon)
	}
	return kubeadm.RenewAll(ctx, r.Topology, m, r.keptCertificates())
}

// older reports whether a static pod's process was there before its certificates. The kernel tells a start in hundredths of a second since a boot that is told in
// whole ones; what began within two of them is taken to be older.
func older(ctx context.Context, t cluster.Topology, m cluster.Machine, pod string) (running, older bool, err error) {
	const script = `for d in /proc/[0-9]*; do
  [ "$(cat $d/comm 2>/dev/null)" = "$0" ] || continue
  start=$(cut -d' ' -f22 $d/stat 2>/dev/null) || continue
  boot=$(awk '$1=="btime" {print $2}' /proc/stat)
  began=$((boot + start / 100))
  newest=0
  for f in "$@"; do [ ! -e "$f" ] || { at=$(stat -c %Y "$f"); [ "$at" -le "$newest" ] || newest=$at; }; done
  if [ "$began" -le $((newest + 1)) ]; then echo older; else echo newer; fi
done`
	const nameLength = 15 // of comm
	args := append([]string{"/bin/sh", "-ec", script, pod[:min(len(pod), nameLength)]}, kubeadm.CertificatesOf(t, pod)...)
	r, err := m.Exec(ctx, cluster.Command{Args: args})
	if err != nil {
		return false, false, err
	}
	return strings.TrimSpace(r.Stdout) != "", strings.Contains(r.Stdout, "older"), nil
}

// startAnew ends the process of a static pod that is older than its certificates, and waits for another. One that is not there loads them when its kubelet starts it, and
// that waits ever longer with one that crashes, until it is started itself.
func (r certificateRenewal) startAnew(ctx context.Context, m cluster.Machine, pod string) error {
	running, old, err := older(ctx, r.Topology, m, pod)
	if err != nil || running && !old {
		return err
	}
	if old {
		k, err := cluster.As[cluster.Killer](m)
		if err != nil {
			return err
		}
		if _, err := k.Kill(ctx, pod); err != nil {
			return err
		}
	}
	const patience = 10 * time.Second
	there := func(ctx context.Context) error {
		running, old, err := older(ctx, r.Topology, m, pod)
		switch {
		case err != nil:
			return err
		case !running:
			return errors.New("it does not run")
		case old:
			return errors.New("its process is the one from before")
		}
		return nil
	}
	what := fmt.Sprintf("%s on %s started anew", pod, m.Name())
	if cluster.Await(ctx, what, cluster.Wait{For: patience, Every: time.Second}, there) == nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, err := cluster.Shell(ctx, m, "systemctl restart "+observe.Kubelet); err != nil {
		return err
	}
	return cluster.Await(ctx, what, cluster.Wait{For: r.Spec.Timeout, Every: time.Second}, there)
}

// renewed reports whether the machine was found to need it.
func (r certificateRenewal) renewed(m cluster.Machine) error {
	if len(r.found.Expired[m.Name()]) == 0 {
		return fmt.Errorf("%w: its certificates were good", plan.ErrSkip)
	}
	return nil
}

// spared waits until a member can be started anew: one that has taken its new certificates up by itself serves again, and another may be away by now.
func (r certificateRenewal) spared(ctx context.Context, machine string, look func(ctx context.Context) votes) (v votes, err error) {
	awaited := cluster.Await(ctx, "the others to be a quorum without "+machine, cluster.Wait{For: r.Spec.Timeout, Every: time.Second}, func(ctx context.Context) error {
		v = look(ctx)
		err = plan.Refusal("to go on with the runbook "+r.book.Name, projectRestarts(v, map[string][]string{machine: r.found.Expired[machine]}))
		return err
	})
	if err == nil {
		err = awaited
	}
	return v, err
}

// member starts a member anew. It is waited for until it is well, as soon as enough of them have good certificates.
func (r certificateRenewal) member(ctx context.Context, m cluster.Machine) error {
	if err := r.renewed(m); err != nil {
		return err
	}
	if running, old, err := older(ctx, r.Topology, m, etcd.Program); err != nil || running && !old {
		if err == nil {
			err = fmt.Errorf("%w: its process is younger than its certificates", plan.ErrSkip)
		}
		return err
	}
	v, err := r.spared(ctx, m.Name(), r.votesBeside)
	if err != nil {
		return err
	}
	if err := r.startAnew(ctx, m, etcd.Program); err != nil {
		return err
	}
	others := 0
	for name, is := range v.well {
		if is && name != m.Name() {
			others++
		}
	}
	if others+1 < cluster.Quorum(len(v.all)) {
		return nil // it has nobody yet to be well with
	}
	return cluster.Await(ctx, "the member on "+m.Name()+" well", cluster.Wait{For: r.Spec.Timeout, Every: time.Second}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, looked)
		defer cancel()
		return etcd.WellBeside(ctx, r.Target.Cluster, m.Name())
	})
}

func (r certificateRenewal) servers(ctx context.Context, m cluster.Machine) error {
	if err := r.renewed(m); err != nil {
		return err
	}
	for _, pod := range []string{observe.APIServer, observe.ControllerManager, observe.Scheduler} {
		if err := r.startAnew(ctx, m, pod); err != nil {
			return err
		}
		if pod != observe.APIServer {
			continue
		}
		if err := r.serverReady(ctx, m.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (r certificateRenewal) kubelet(ctx context.Context, m cluster.Machine) error {
	renewing, err := kubeadm.IsRenewing(ctx, m)
	if err != nil {
		return fmt.Errorf("%w: nobody tells of it: %w", plan.ErrSkip, err)
	}
	until, err := r.kubeletUntil(ctx, m.Name())
	switch {
	case err != nil && !renewing:
		return fmt.Errorf("%w: nobody tells of it: %w", plan.ErrSkip, err)
	case time.Now().Before(until) && !renewing:
		return fmt.Errorf("%w: it is good until %s", plan.ErrSkip, until.Format(time.DateOnly))
	}
	return kubeadm.RenewKubelet(ctx, r.Target.Cluster, m)
}
