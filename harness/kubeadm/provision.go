package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

// PKI are the authorities of a cluster, by file: with them a machine can be made a control plane of it while nobody answers.
type PKI map[string][]byte

// pkiFiles are what all control planes have the same of, below pkiDir ("PKI certificates and requirements" of Kubernetes).
func pkiFiles(stacked bool) []string {
	files := []string{"ca.crt", "ca.key", "sa.pub", "sa.key", "front-proxy-ca.crt", "front-proxy-ca.key"}
	if stacked {
		files = append(files, "etcd/ca.crt", "etcd/ca.key")
	}
	return files
}

const pkiDir = "/etc/kubernetes/pki"

// configOf is the file with which a control plane was made at first: the same one again, so that a replaced machine has the files that it had. Only the first has
// the kubeconfig of the super-administrator.
func configOf(c cluster.Cluster, m cluster.Machine) (file string, first bool) {
	all := c.Topology().ControlPlaneMachines()
	if len(all) > 0 && all[0] == m.Name() {
		return "/etc/kubernetes/drydock-init.yaml", true
	}
	return "/etc/kubernetes/drydock-join.yaml", false
}

// ReadPKI reads them from the first control plane that gives them.
func ReadPKI(ctx context.Context, c cluster.Cluster) (PKI, error) {
	var errs []error
	controlPlanes, _ := byRole(c)
	for _, m := range controlPlanes {
		pki, err := readPKI(ctx, m, c.Topology().Etcd == cluster.EtcdStacked)
		if err == nil {
			return pki, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("authorities of cluster %s: no control plane gives them: %w", c.Topology().Name, errors.Join(errs...))
}

func readPKI(ctx context.Context, m cluster.Machine, stacked bool) (PKI, error) {
	pki := PKI{}
	for _, f := range pkiFiles(stacked) {
		raw, err := m.ReadFile(ctx, pkiDir+"/"+f)
		if err != nil {
			return nil, fmt.Errorf("%s: %s/%s: %w", m.Name(), pkiDir, f, err)
		}
		pki[f] = raw
	}
	return pki, nil
}

// Provision makes a bare machine a control plane at the version again, as the provisioning of a cloud's machines does (AKS Engine's custom data): with the
// authorities of the cluster, certificates and manifests of its own by kubeadm's phases of init, and the data of etcd that is on its disk. Nobody is asked and
// nothing is waited for: the member is in the list that its data has, by the name and the address it had, and comes up as soon as its kubelet starts it.
func Provision(ctx context.Context, c cluster.Cluster, m cluster.Machine, version string, pki PKI) error {
	t := c.Topology()
	t.Version = version
	p, err := newParams(c)
	if err != nil {
		return err
	}
	p.Version = version
	if err := prepare(ctx, t, m, p); err != nil {
		return err
	}
	for file, raw := range pki {
		if err := m.WriteFile(ctx, pkiDir+"/"+file, raw, 0o600); err != nil {
			return err
		}
	}
	if p, err = p.of(m).patched(ctx, m); err != nil {
		return err
	}
	config, err := render(p, "init.yaml.tmpl", "cluster.yaml.tmpl")
	if err != nil {
		return err
	}
	file, first := configOf(c, m)
	if err := m.WriteFile(ctx, file, config, 0o600); err != nil {
		return err
	}
	phases := [][]string{{"certs", "all"}, {"kubeconfig", "admin"}, {"kubeconfig", "kubelet"}, {"kubeconfig", "controller-manager"}, {"kubeconfig", "scheduler"}}
	if first {
		phases = append(phases, []string{"kubeconfig", "super-admin"})
	}
	if t.Etcd == cluster.EtcdStacked {
		phases = append(phases, []string{"etcd", "local"})
	}
	for _, phase := range append(phases, []string{"control-plane", "all"}, []string{"kubelet-start"}) {
		if err := initPhase(ctx, c, m, phase...); err != nil {
			return err
		}
	}
	return installEtcd(ctx, t, m)
}

func initPhase(ctx context.Context, c cluster.Cluster, m cluster.Machine, phase ...string) error {
	file, _ := configOf(c, m)
	_, err := m.Exec(ctx, cluster.Command{Args: append(append([]string{"kubeadm", "init", "phase"}, phase...), "--config", file)})
	return err
}

// Provisioned is what the last part of such provisioning asks of its machine (cse_main.sh of AKS Engine: configureEtcd, ensureKubelet, ensureEtcd,
// ensureK8sControlPlane): its member takes a change of the list and answers, which a quorum has to agree to, its kubelet runs, and its API server is ready. Whether its
// node is Ready it does not ask.
func Provisioned(ctx context.Context, c cluster.Cluster, m cluster.Machine) error {
	if _, err := cluster.Shell(ctx, m, "systemctl is-active kubelet"); err != nil {
		return err
	}
	if m.Role() != cluster.ControlPlane {
		return nil
	}
	if c.Topology().Etcd == cluster.EtcdStacked {
		if err := memberUpdated(ctx, m); err != nil {
			return err
		}
	}
	return Health(ctx, c, m.Name(), "/readyz")
}

// Members are the names in etcd's list, as the member on a machine has it, with their ids; asking takes a quorum.
func Members(ctx context.Context, m cluster.Machine) (map[string]string, error) {
	r, err := etcdctl(ctx, m, "member", "list")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(r.Stdout) { // ID, STATUS, NAME, PEER URLS, CLIENT URLS, IS LEARNER
		if fields := strings.Split(strings.TrimSpace(line), ", "); len(fields) > 2 {
			out[fields[2]] = fields[0]
		}
	}
	return out, nil
}

func memberUpdated(ctx context.Context, m cluster.Machine) error {
	members, err := Members(ctx, m)
	if err != nil {
		return err
	}
	id := members[m.Name()]
	if id == "" {
		return fmt.Errorf("%s: etcd has no member of its name", m.Name())
	}
	peer := "https://" + net.JoinHostPort(m.Addr().String(), strconv.Itoa(etcd.PeerPort))
	if _, err := etcdctl(ctx, m, "member", "update", id, "--peer-urls="+peer); err != nil {
		return err
	}
	_, err = etcdctl(ctx, m, "endpoint", "health")
	return err
}

// etcdctl runs it against the machine's own member.
func etcdctl(ctx context.Context, m cluster.Machine, args ...string) (cluster.Result, error) {
	const dir = pkiDir + "/etcd/"
	return m.Exec(ctx, cluster.Command{Args: append([]string{
		"etcdctl", "--endpoints=https://127.0.0.1:" + strconv.Itoa(etcd.ClientPort), "--cacert=" + dir + "ca.crt", "--cert=" + dir + "healthcheck-client.crt", "--key=" + dir + "healthcheck-client.key",
	}, args...)})
}

// Mark gives a control plane's node what kubeadm marks it by, if it has not got it: a kubelet may not say that of itself. And its API server is let at kubelets.
func Mark(ctx context.Context, c cluster.Cluster, m cluster.Machine) error {
	client, err := AdminClient(ctx, c)
	if err != nil {
		return err
	}
	if err := allowKubelets(ctx, c, m, client); err != nil {
		return err
	}
	n, err := client.CoreV1().Nodes().Get(ctx, m.Name(), metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("node of %s: %w", m.Name(), err)
	}
	if _, marked := n.Labels["node-role.kubernetes.io/control-plane"]; marked {
		return nil
	}
	return initPhase(ctx, c, m, "mark-control-plane")
}

// The user as whom an API server of kubeadm's asks kubelets, and from which version on it has to be allowed to: before, its certificate is an administrator's.
const (
	kubeletClient    = "kube-apiserver-kubelet-client"
	kubeletClientOwn = "kubeadm:apiserver-kubelet-client"
	kubeletClientOf  = "v1.36.0"
)

// allowKubelets makes the binding that kubeadm makes with its tokens, and with an upgrade's last tasks (phases/bootstraptoken/node, AllowAPIServerToAccessKubeletAPI):
// a new machine's certificate is good for nothing without it.
func allowKubelets(ctx context.Context, c cluster.Cluster, m cluster.Machine, client kubernetes.Interface) error {
	tags, err := ManifestVersions(ctx, c.Topology(), m)
	if err != nil {
		return err
	}
	of, err := version.ParseSemantic(tags["kube-apiserver"])
	if err != nil {
		return fmt.Errorf("the API server's version on %s: %w", m.Name(), err)
	}
	if of.LessThan(version.MustParseSemantic(kubeletClientOf)) {
		return nil
	}
	_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: kubeletClientOwn},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:kubelet-api-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: kubeletClient}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("let the API server on %s at kubelets: %w", m.Name(), err)
	}
	return nil
}
