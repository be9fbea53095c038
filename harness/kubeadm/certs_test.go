package kubeadm

import (
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"drydock.dev/drydock/harness/cluster"
)

// As kubeadm v1.35.4 writes it, with what it says where no API server answers.
func TestKubeadmsWordOfExpirationsIsRead(t *testing.T) {
	const said = `[check-expiration] Error reading configuration from the Cluster. Falling back to default configuration
{
    "kind": "CertificateExpirationInfo", "apiVersion": "output.kubeadm.k8s.io/v1alpha3",
    "certificates": [
        {"name": "admin.conf", "expirationDate": "2027-11-22T12:29:57Z", "residualTime": 31535998, "externallyManaged": false, "caName": "ca", "missing": false},
        {"name": "super-admin.conf", "expirationDate": null, "residualTime": 0, "externallyManaged": false, "caName": "ca", "missing": true}
    ],
    "certificateAuthorities": [{"name": "ca", "expirationDate": "2036-11-19T12:29:42Z", "residualTime": 315359983, "externallyManaged": false, "missing": false}]
}`
	certificates, authorities, err := parseExpirations("a", []byte(said))
	if err != nil || len(certificates) != 2 || len(authorities) != 1 || certificates[0].Until.Format(time.DateOnly) != "2027-11-22" || !certificates[1].Missing {
		t.Errorf("%+v, %+v: %v", certificates, authorities, err)
	}
	for want, said := range map[string]string{"told nothing": "no configuration", "knows of no certificates": `{"certificates": []}`, "check-expiration: ": "{"} {
		if _, _, err := parseExpirations("a", []byte(said)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", said, err, want)
		}
	}
}

func TestEveryStaticPodHasCertificatesThatAreRenewed(t *testing.T) {
	stacked, external := cluster.Topology{Etcd: cluster.EtcdStacked}, cluster.Topology{Etcd: cluster.EtcdExternal}
	for _, top := range []cluster.Topology{stacked, external} {
		for _, pod := range StaticPods(top) {
			if len(CertificatesOf(top, pod)) == 0 {
				t.Errorf("%s of %s has none", pod, top.Etcd)
			}
		}
	}
	if got := strings.Join(CertificatesOf(stacked, "kube-apiserver"), " "); !strings.Contains(got, "/etc/kubernetes/pki/apiserver-etcd-client.crt") {
		t.Error(got)
	}
	if got := strings.Join(CertificatesOf(external, "kube-apiserver"), " "); strings.Contains(got, "etcd") {
		t.Errorf("of an etcd elsewhere kubeadm renews: %s", got)
	}
}

// A kubelet that is given a certificate keeps all else of its kubeconfig: above all whom it talks to.
func TestAKubeletIsGivenACertificateAndNothingElse(t *testing.T) {
	const was = `apiVersion: v1
kind: Config
clusters: [{name: default-cluster, cluster: {server: "https://10.77.0.1:6443", certificate-authority-data: YQ==}}]
contexts: [{name: default-context, context: {cluster: default-cluster, user: default-auth, namespace: default}}]
current-context: default-context
users: [{name: default-auth, user: {client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem, client-key: /var/lib/kubelet/pki/kubelet-client-current.pem}}]
`
	signed := &api.Config{AuthInfos: map[string]*api.AuthInfo{"system:node:w": {ClientCertificateData: []byte("c"), ClientKeyData: []byte("k")}}}
	raw, err := withCertificate([]byte(was), signed)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.Load(raw)
	if err != nil {
		t.Fatal(err)
	}
	user := cfg.AuthInfos["default-auth"]
	if user == nil || string(user.ClientCertificateData) != "c" || string(user.ClientKeyData) != "k" || user.ClientCertificate != "" || user.ClientKey != "" {
		t.Errorf("%s", raw)
	}
	if cfg.Clusters["default-cluster"].Server != "https://10.77.0.1:6443" || cfg.CurrentContext != "default-context" {
		t.Errorf("%s", raw)
	}
	for name, bad := range map[string]*api.Config{"nothing signed": {}, "half": {AuthInfos: map[string]*api.AuthInfo{"x": {ClientCertificateData: []byte("c")}}}} {
		if _, err := withCertificate([]byte(was), bad); err == nil {
			t.Errorf("%s is given to a kubelet", name)
		}
	}
}
