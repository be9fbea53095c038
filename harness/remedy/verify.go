package remedy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
)

// verify looks at what is served, from the network, and has each component's own credentials tried at its own API server. Files that are new say nothing of
// processes that have loaded the old ones.
func (r certificateRenewal) verify(ctx context.Context) error {
	if err := r.reopen(ctx); err != nil {
		return err
	}
	return cluster.Await(ctx, "good certificates served and taken", cluster.Wait{For: r.Spec.Timeout, Every: time.Second}, func(ctx context.Context) error {
		for _, name := range r.Topology.ControlPlaneMachines() {
			m, err := r.Target.Cluster.Machine(name)
			if err == nil {
				err = errors.Join(r.served(ctx, m), r.taken(ctx, m), r.loaded(ctx, m))
			}
			if err != nil {
				return err
			}
		}
		return r.kubeletsKnown(ctx)
	})
}

// reopen connects to the cluster anew: this process may have begun with an administrator's certificate that had run out.
func (r certificateRenewal) reopen(ctx context.Context) error {
	long := context.WithoutCancel(ctx)
	target, err := observe.Open(long, r.Target.Cluster)
	if err != nil {
		return err
	}
	observer, err := observe.NewObserver(target)
	if err != nil {
		return errors.Join(err, target.Members.Close())
	}
	r.opened = target
	r.Observer = observer
	return nil
}

// served: what listens there shows a certificate that is good for longer.
func (r certificateRenewal) served(ctx context.Context, m cluster.Machine) error {
	ports := map[int]string{kubeadm.APIPort: "/etc/kubernetes/pki/ca.crt"}
	if r.Topology.Etcd == cluster.EtcdStacked {
		ports[etcd.ClientPort], ports[etcd.PeerPort] = "/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/etcd/ca.crt"
	}
	for port, authority := range ports {
		ctx, cancel := context.WithTimeout(ctx, looked)
		defer cancel()
		ca, err := m.ReadFile(ctx, authority)
		if err != nil {
			return err
		}
		until, err := kubeadm.ServedUntil(ctx, r.Target.Cluster, m, port, ca)
		if err != nil {
			return err
		}
		if until.Before(time.Now().Add(soon)) {
			return fmt.Errorf("port %d on %s shows a certificate that runs out at %s", port, m.Name(), until.UTC().Format(time.DateTime))
		}
	}
	return nil
}

// taken: the machine's API server takes the administrator and the components for who they are, has reached its member, and reaches its kubelet.
func (r certificateRenewal) taken(ctx context.Context, m cluster.Machine) error {
	ctx, cancel := context.WithTimeout(ctx, 2*looked)
	defer cancel()
	for file, want := range map[string]string{
		"/etc/kubernetes/admin.conf": "kubernetes-admin", "/etc/kubernetes/controller-manager.conf": "system:" + observe.ControllerManager, "/etc/kubernetes/scheduler.conf": "system:" + observe.Scheduler,
	} {
		raw, err := m.ReadFile(ctx, file)
		if err != nil {
			return err
		}
		user, err := kubeadm.WhoAmI(ctx, r.Target.Cluster, m, raw, nil)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", file, m.Name(), err)
		}
		if user != want {
			return fmt.Errorf("%s of %s: the API server there takes it for %q", file, m.Name(), user)
		}
	}
	if err := kubeadm.Health(ctx, r.Target.Cluster, m.Name(), "/readyz"); err != nil {
		return err
	}
	said, err := kubeadm.AskKubelet(ctx, r.Target.Cluster, m, "healthz")
	if err == nil && strings.TrimSpace(string(said)) != "ok" {
		err = fmt.Errorf("it says %.100q", said)
	}
	if err != nil {
		return fmt.Errorf("the kubelet on %s, through the API server there: %w", m.Name(), err)
	}
	return nil
}

// loaded: no process is older than the certificates it works with.
func (r certificateRenewal) loaded(ctx context.Context, m cluster.Machine) error {
	if len(r.found.Expired[m.Name()]) == 0 {
		return nil
	}
	for _, pod := range kubeadm.StaticPods(r.Topology) {
		running, old, err := older(ctx, r.Topology, m, pod)
		switch {
		case err != nil:
			return err
		case !running:
			return fmt.Errorf("%s on %s does not run", pod, m.Name())
		case old:
			return fmt.Errorf("%s on %s is older than its certificates", pod, m.Name())
		}
	}
	return nil
}

// kubeletsKnown: whoever shows a kubelet's certificate is taken for its node. Machines that nobody could ask are not asked now.
func (r certificateRenewal) kubeletsKnown(ctx context.Context) error {
	server, err := r.Target.Cluster.Machine(r.Topology.ControlPlaneMachines()[0])
	if err != nil {
		return err
	}
	for _, name := range r.Topology.KubernetesMachines() {
		ctx, cancel := context.WithTimeout(ctx, looked)
		defer cancel()
		m, err := r.Target.Cluster.Machine(name)
		if err != nil {
			return err
		}
		pair, err := m.ReadFile(ctx, kubeadm.KubeletClient)
		if err != nil {
			continue // as the diagnosis has warned
		}
		config, err := m.ReadFile(ctx, kubeadm.KubeletConfig)
		if err != nil {
			return err
		}
		user, err := kubeadm.WhoAmI(ctx, r.Target.Cluster, server, config, pair)
		if err == nil && user != "system:node:"+name {
			err = fmt.Errorf("it is taken for %q", user)
		}
		if err != nil {
			return fmt.Errorf("the certificate of the kubelet on %s: %w", name, err)
		}
	}
	return nil
}
