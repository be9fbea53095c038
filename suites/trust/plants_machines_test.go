package trust

import (
	"context"
	"fmt"
	"path"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/release"
)

const manifests = "/etc/kubernetes/manifests"

// processes end by SIGKILL, each once those before it are back.
func processes() []plant {
	const check = "noUnplannedRestart"
	return []plant{
		{"kill -9 of a kubelet", check, then(kill("worker-1", observe.Kubelet, ""), wait(seen), on("worker-1", observe.Kubelet))},
		{"kill -9 of a kube-scheduler", check, then(kill("control-plane-1", observe.Scheduler, ""), wait(gone), on("control-plane-1", observe.Scheduler))},
		{"kill -9 of a kube-controller-manager", check, then(kill("control-plane-1", observe.ControllerManager, ""), wait(gone), on("control-plane-1", observe.ControllerManager))},
		{"kill -9 of a kube-apiserver", check, then(kill("control-plane-1", observe.APIServer, ""), wait(gone), on("control-plane-1", observe.APIServer))},
		{"kill -9 of etcd below an API server", "onlyPlannedLosses", kill("control-plane-1", etcd.Program, "the member on control-plane-1")},
	}
}

// on names a component of a machine.
func on(machine, component string) planting { return none(component + " on " + machine) }

// none plants nothing: something else has, and this is what else must be said of it.
func none(culprit string) planting {
	return func(context.Context, *planter) (string, error) { return culprit, nil }
}

// members are defects of etcd's.
func members() []plant {
	return []plant{
		{"an acknowledged key deleted", "noAcknowledgedWriteLost", deletedKey},
		{"kill -9 of a member", "onlyPlannedLosses", then(kill("etcd-1", etcd.Program, ""), wait(gone), on("etcd-1", "the member"))},
		{"another version of a member", "etcdHealthy", then(anotherEtcd("etcd-2"), wait(gone), none("the member on etcd-2 runs "+otherEtcdVersion[1:]))},
		{"a member with other data", "hashesEqual", then(otherData("etcd-3"), wait(gone), on("etcd-3", "the member"))},
		{"a learner left", "etcdHealthy", strayLearner},
	}
}

// Versions that no machine of a bed has.
const (
	otherEtcdVersion       = "v3.6.11"
	otherKubernetesVersion = "v1.36.3"
)

func otherEtcd(ctx context.Context) error {
	v, err := release.Resolve(release.Etcd, otherEtcdVersion)
	if err != nil {
		return err
	}
	return suite.Host.Store().Ensure(ctx, v, etcd.Program)
}

func otherKubernetes(ctx context.Context) error {
	return suite.Host.Lab().Provide(ctx, release.Kubernetes, otherKubernetesVersion)
}

// anotherEtcd replaces a member's program, and has it started anew.
func anotherEtcd(machine string) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		m, err := p.machine(machine)
		if err != nil {
			return "", err
		}
		if err := m.Install(ctx, release.Etcd, otherEtcdVersion, etcd.Program); err != nil {
			return "", err
		}
		_, err = m.Kill(ctx, etcd.Program)
		return machine, err
	}
}

func deletedKey(ctx context.Context, p *planter) (string, error) {
	const key = "/drydock/ledger/0" // the probe's first
	gone, err := p.etcd.Delete(ctx, key)
	if err == nil && gone.Deleted != 1 {
		err = fmt.Errorf("there was no %s", key)
	}
	return key, err
}

// otherData changes one value in a member's database while it is down, by as many bytes.
func otherData(machine string) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		if _, err := p.etcd.Put(ctx, "/planted", "the-value-that-was-written"); err != nil {
			return "", err
		}
		if _, err := wait(seen)(ctx, p); err != nil { // for it to be in the database, and not in the log alone
			return "", err
		}
		m, err := p.machine(machine)
		if err != nil {
			return "", err
		}
		db := path.Join(etcd.DataDir, "member/snap/db")
		return machine, while(ctx, m, "grep -q the-value-that-was-written "+db+"; LC_ALL=C sed -i s/the-value-that-was-written/the-value-that-was-altered/g "+db)
	}
}

// strayLearner adds a member that nobody starts.
func strayLearner(ctx context.Context, p *planter) (string, error) {
	var added *clientv3.MemberAddResponse
	err := cluster.Await(ctx, "a learner added", cluster.Wait{For: seconds}, func(ctx context.Context) (err error) { // refused until all members are known to be well since 5 s
		added, err = p.etcd.MemberAddAsLearner(ctx, []string{"http://192.0.2.1:2380"}) // RFC 5737: nobody has it
		return err
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("member %x", added.Member.ID), nil
}

// alarm is alone: no write is acknowledged any more.
func alarm() []plant {
	return []plant{{"a NOSPACE alarm", "etcdHealthy", func(ctx context.Context, p *planter) (string, error) {
		st, err := p.etcd.Status(ctx, p.etcd.Endpoints()[0])
		if err != nil {
			return "", err
		}
		_, err = pb.NewMaintenanceClient(p.etcd.ActiveConnection()).Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: st.Header.MemberId, Alarm: pb.AlarmType_NOSPACE})
		return "NOSPACE", err
	}}}
}

// files are changed on a machine that are read once, at the next start, and do no harm until then: no process may start anew here. (The API server
// did once, and ended itself over the certificate.)
func files() []plant {
	return []plant{
		{"an aggregated API down", "noResidue", api("POST", "/apis/apiregistration.k8s.io/v1/apiservices", `{"metadata":{"name":"v1.left.example.com"},"spec":{"group":"left.example.com","version":"v1",
			"groupPriorityMinimum":100,"versionPriority":100,"service":{"name":"nobody","namespace":"default"},"insecureSkipTLSVerify":true}}`, "APIService.apiregistration.k8s.io v1.left.example.com was not there before")},
		{"an expired certificate", "noResidue", expired},
		{"the kubeconfig of a component swapped", "noResidue", shell("control-plane-1", "cd /etc/kubernetes; cp scheduler.conf controller-manager.conf", "/etc/kubernetes/controller-manager.conf on control-plane-1 is not what it was")},
		{"a kubelet's flags changed", "noResidue", shell("worker-1", "echo '# changed' >> /var/lib/kubelet/kubeadm-flags.env", "/var/lib/kubelet/kubeadm-flags.env on worker-1 is not what it was")},
	}
}

// changed are what a control plane and a kubelet run, on the spot.
func changed() []plant {
	return []plant{
		{"an API server's flag lost", "objectsPreserved", then(shell("control-plane-1", "cd "+manifests+"; grep -q enable-bootstrap-token-auth kube-apiserver.yaml; sed -i /enable-bootstrap-token-auth/d kube-apiserver.yaml", ""),
			wait(gone), none("has lost --enable-bootstrap-token-auth=true"))},
		{"the scheduler's manifest moved away everywhere", "whole", shell("control-plane-1", "mv "+manifests+"/kube-scheduler.yaml /root", "kube-scheduler on control-plane-1 does not answer")},
		{"a kubelet stopped", "noUnplannedRestart", held("worker-1", observe.Kubelet)},
	}
}

// expired puts a certificate in the place of the API server's for aggregated APIs whose time is over.
func expired(ctx context.Context, p *planter) (string, error) {
	m, err := p.machine("control-plane-1")
	if err != nil {
		return "", err
	}
	raw, err := shortLived(-time.Hour)
	if err != nil {
		return "", err
	}
	return "/etc/kubernetes/pki/front-proxy-client.crt on control-plane-1 is not what it was", m.WriteFile(ctx, "/etc/kubernetes/pki/front-proxy-client.crt", raw, 0o600)
}

// held ends a program for good.
func held(machine, program string) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		m, err := p.machine(machine)
		if err != nil {
			return "", err
		}
		if _, err := m.Hold(ctx, program); err != nil {
			return "", err
		}
		_, err = m.Kill(ctx, program)
		return program + " on " + machine, err
	}
}

// admission refuses what clients write.
func admission() []plant {
	return []plant{{"a webhook that refuses all writes of ConfigMaps", "requests", api("POST", webhooks, webhook("no", "Fail", "", "configmaps"), "API server write")}}
}

// versions swaps programs of one machine for those of another version.
func versions() []plant {
	var out []plant
	for _, c := range []string{observe.ControllerManager, observe.Scheduler, observe.APIServer} {
		out = append(out, plant{"another version of " + c, "versions", shell("control-plane-1", "sed -i 's/:v1.35.4/:"+otherKubernetesVersion+"/' "+manifests+"/"+c+".yaml", c+" on control-plane-1 is "+otherKubernetesVersion+" instead of v1.35.4")})
	}
	return append(out, plant{"another version of a kubelet", "versions", func(ctx context.Context, p *planter) (string, error) {
		m, err := p.machine("worker-1")
		if err != nil {
			return "", err
		}
		if err := m.Install(ctx, release.Kubernetes, otherKubernetesVersion, observe.Kubelet); err != nil {
			return "", err
		}
		_, err = m.Kill(ctx, observe.Kubelet)
		return "kubelet on worker-1 is " + otherKubernetesVersion + " instead of v1.35.4", err
	}})
}

// three are defects of which two others know nothing.
func three() []plant {
	return []plant{
		{"two leaders", "oneLeader", then(shell("control-plane-2", "sed -i s/--leader-elect=true/--leader-elect=false/ "+manifests+"/kube-scheduler.yaml", ""), wait(3*gone), on("control-plane-2", observe.Scheduler))},
		{"kill -9 of one API server of three", "noUnplannedRestart", kill("control-plane-3", observe.APIServer, "kube-apiserver on control-plane-3")},
		{"a node deleted and registered again", "objectsPreserved", then(api("DELETE", worker, "", ""), none("Node worker-1 was deleted and registered again"))}, // by its next boot
		{"a machine that has lost its power and came back, its node still Ready", "noUnplannedRestart", func(ctx context.Context, p *planter) (string, error) {
			m, err := p.machine("worker-1")
			if err != nil {
				return "", err
			}
			return "worker-1 has booted", m.Reboot(ctx)
		}},
		{"a learner left", "noResidue", strayLearner},
	}
}
