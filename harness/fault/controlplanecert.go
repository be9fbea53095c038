package fault

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/clientcmd"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// controlPlaneExpired has all certificates of a control plane that kubeadm keeps run out, as they do in a year in which nobody upgraded or renewed: what
// is served with, what is connected with, and those of the administrator's and the components' kubeconfigs; the same names and keys, signed by the cluster's own
// authorities. Its static pods are started anew, as by a boot, and so use them. The kubelet's own is another: it renews that itself.
type controlPlaneExpired struct{}

// Inject replaces all files first: a component that starts between two would use one of each.
func (f *controlPlaneExpired) Inject(ctx context.Context, e *Env, machines []string) error {
	t := e.Cluster.Topology()
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, k cluster.Keeper) error {
		old := map[string][]byte{}
		for _, c := range kubeadm.ManagedCertificates(t) {
			raw, err := expiredManaged(ctx, m, c)
			switch {
			case errors.Is(err, fs.ErrNotExist): // of another version, or of an etcd that is not here
			case err != nil:
				return fmt.Errorf("%s: %s: %w", m.Name(), c.File, err)
			default:
				old[c.File] = raw
			}
		}
		if len(old) == 0 {
			return fmt.Errorf("%s: no certificate of kubeadm's is there", m.Name())
		}
		for _, c := range kubeadm.ManagedCertificates(t) {
			if raw := old[c.File]; raw != nil {
				if err := k.Replace(ctx, c.File, raw); err != nil {
					return err
				}
			}
		}
		return restartPods(ctx, t, m)
	})
}

// expiredManaged is what the file would have in it had its certificate run out.
func expiredManaged(ctx context.Context, m cluster.Machine, c kubeadm.Managed) ([]byte, error) {
	var files [3][]byte
	for i, path := range []string{c.File, c.Authority, c.Key} {
		var err error
		if files[i], err = m.ReadFile(ctx, path); err != nil {
			return nil, err
		}
	}
	if !c.IsConfig() {
		return expired(files[0], files[1], files[2])
	}
	cfg, err := clientcmd.Load(files[0])
	if err != nil {
		return nil, err
	}
	for name, a := range cfg.AuthInfos {
		if a.ClientCertificateData, err = expired(a.ClientCertificateData, files[1], files[2]); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
	}
	return clientcmd.Write(*cfg)
}

// restartPods ends the processes of all static pods of a control plane. The kubelet is started anew: it waits ever longer before it starts one again that has ended
// several times, and forgets that when it is.
func restartPods(ctx context.Context, t cluster.Topology, m cluster.Machine) error {
	k, err := cluster.As[cluster.Killer](m)
	if err != nil {
		return err
	}
	for _, pod := range kubeadm.StaticPods(t) {
		if _, err := k.Kill(ctx, pod); err != nil {
			return err
		}
	}
	_, err = cluster.Shell(ctx, m, "systemctl restart "+observe.Kubelet)
	return err
}

// Recover gives back what was there; what has been renewed meanwhile stays.
func (f *controlPlaneExpired) Recover(ctx context.Context, e *Env, machines []string) error {
	if err := f.Tidy(ctx, e, machines); err != nil {
		return err
	}
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, _ cluster.Keeper) error {
		return restartPods(ctx, e.Cluster.Topology(), m)
	})
}

// Tidy drops what is kept where it has been renewed, and gives it back where it has not.
func (*controlPlaneExpired) Tidy(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, k cluster.Keeper) error {
		var err error
		for _, c := range kubeadm.ManagedCertificates(e.Cluster.Topology()) {
			err = errors.Join(err, k.PutBack(ctx, c.File))
		}
		return err
	})
}

// certificates of a control plane that are seen from the network: the port, the authority of who trusts it, and whose it is.
type shown struct {
	whose     string
	port      int
	authority string
}

func shownBy(t cluster.Topology) []shown {
	out := []shown{{observe.APIServer, kubeadm.APIPort, authority}}
	if t.Etcd == cluster.EtcdStacked {
		out = append(out, shown{etcd.Program, etcd.ClientPort, etcdAuthority}, shown{"etcd for its peers", etcd.PeerPort, etcdAuthority})
	}
	return out
}

const etcdAuthority = "/etc/kubernetes/pki/etcd/ca.crt"

func (s shown) until(ctx context.Context, e *Env, machine string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	m, err := e.Cluster.Machine(machine)
	if err != nil {
		return time.Time{}, err
	}
	ca, err := m.ReadFile(ctx, s.authority)
	if err != nil {
		return time.Time{}, err
	}
	return kubeadm.ServedUntil(ctx, e.Cluster, m, s.port, ca)
}

// Effective: who shakes hands with the machine's member is shown a certificate that has run out, by peers at least: clients are not answered by a member that
// none of its peers lets in. Its API server shows one too, or has not come up, as it reaches no member; and no other API server knows the machine's components.
// All that is not affected shows good ones.
func (*controlPlaneExpired) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	t := e.Cluster.Topology()
	var out []plan.Evidence
	others := slices.DeleteFunc(e.without(t.ControlPlaneMachines()), func(m string) bool { return slices.Contains(machines, m) })
	for _, m := range machines {
		expired := 0
		for _, s := range shownBy(t) {
			until, err := s.until(ctx, e, m)
			var invalid x509.CertificateInvalidError
			switch {
			case err == nil:
				return nil, fmt.Errorf("%s on %s shows a certificate that is good until %s", s.whose, m, until.Format(time.DateOnly))
			case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
				expired++
				out = append(out, saw("TLS handshake", "%s on %s: it ran out at %s", s.whose, m, invalid.Cert.NotAfter.Format(time.DateTime)))
			case s.port != etcd.PeerPort && t.Etcd == cluster.EtcdStacked && slices.Contains(silences(), cluster.FailureOf(err)): // it starts, and waits for who does not let it in
				out = append(out, saw("network", "%s on %s does not come up: %v", s.whose, m, err))
			default:
				return nil, fmt.Errorf("whether the certificate of %s on %s has run out is not known: %w", s.whose, m, err)
			}
		}
		if expired == 0 {
			return nil, fmt.Errorf("nobody on %s shows a certificate that has run out", m)
		}
		seen, err := unknownTo(ctx, e, m, others)
		if err != nil {
			return nil, err
		}
		out = append(out, seen...)
	}
	for _, m := range others {
		for _, s := range shownBy(t) {
			until, err := s.until(ctx, e, m)
			if err != nil {
				return nil, controlError{fmt.Errorf("%s on %s should not be affected, and: %w", s.whose, m, err)}
			}
			out = append(out, saw("TLS handshake", "%s on %s, which is not affected, shows a certificate that is good until %s", s.whose, m, until.Format(time.DateOnly)))
		}
	}
	kubelet, err := findService(observe.Kubelet)
	if err != nil {
		return nil, err
	}
	return kubelet.unaffected(ctx, e, machines, out)
}

// silences are how a server fails that has not come up: nobody listens, or somebody does and answers nothing yet, or ends meanwhile.
func silences() []cluster.Failure {
	return []cluster.Failure{cluster.Refused, cluster.Deadline, cluster.Reset}
}

// componentUsers are the kubeconfigs of a control plane's components, and who shows them.
func componentUsers() map[string]string {
	return map[string]string{"/etc/kubernetes/controller-manager.conf": "system:" + observe.ControllerManager, "/etc/kubernetes/scheduler.conf": "system:" + observe.Scheduler}
}

// knownAs asks an API server whom it takes the owner of a kubeconfig of a machine for.
func knownAs(ctx context.Context, e *Env, machine, file, server string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	m, err := e.Cluster.Machine(machine)
	if err != nil {
		return "", err
	}
	raw, err := m.ReadFile(ctx, file)
	if err != nil {
		return "", err
	}
	asked, err := e.Cluster.Machine(server)
	if err != nil {
		return "", err
	}
	return kubeadm.WhoAmI(ctx, e.Cluster, asked, raw, nil)
}

func unknownTo(ctx context.Context, e *Env, machine string, servers []string) ([]plan.Evidence, error) {
	if len(servers) == 0 {
		return nil, nil
	}
	var out []plan.Evidence
	for file := range componentUsers() {
		switch user, err := knownAs(ctx, e, machine, file, servers[0]); {
		case err == nil:
			return nil, fmt.Errorf("the API server on %s takes %s of %s for %s", servers[0], file, machine, user)
		case !apierrors.IsUnauthorized(err):
			return nil, fmt.Errorf("whether the API server on %s takes %s of %s is not known: %w", servers[0], file, machine, err)
		default:
			out = append(out, saw("API server", "that on %s refuses whoever shows %s of %s: %v", servers[0], file, machine, err))
		}
	}
	return out, nil
}

// Recovered: good certificates are shown, the machine's own API server knows its components by theirs, and all that hung on them is there again.
func (*controlPlaneExpired) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, m := range machines {
		for _, s := range shownBy(e.Cluster.Topology()) {
			until, err := s.until(ctx, e, m)
			if err != nil {
				return nil, err
			}
			out = append(out, saw("TLS handshake", "%s on %s shows a certificate that is good until %s", s.whose, m, until.Format(time.DateOnly)))
		}
		for file, want := range componentUsers() {
			user, err := knownAs(ctx, e, m, file, m)
			if err == nil && user != want {
				err = fmt.Errorf("the API server on %s takes it for %q", m, user)
			}
			if err != nil {
				return nil, fmt.Errorf("%s of %s: %w", file, m, err)
			}
			out = append(out, saw("API server", "that on %s takes %s for %s", m, file, user))
		}
	}
	back, err := served(ctx, e, machines)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{observe.ControllerManager, observe.Scheduler, observe.Kubelet} {
		s, err := findService(name)
		if err != nil {
			return nil, err
		}
		seen, err := s.served(ctx, e, machines)
		if err != nil {
			return nil, err
		}
		back = append(back, seen...)
	}
	return append(out, back...), nil
}
