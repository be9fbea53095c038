package preflight

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

func TestOnlyReadyEndpointsServeAWebhook(t *testing.T) {
	yes, no := true, false
	endpoint := func(node string, ready *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: ready}}
	}
	service := admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "ns", Name: "hook"}}
	url := "https://10.0.0.1/validate"
	ignore := admissionv1.Ignore
	for name, c := range map[string]struct {
		client    admissionv1.WebhookClientConfig
		failure   *admissionv1.FailurePolicyType
		endpoints []discoveryv1.Endpoint
		want      plan.Severity
		says      string
	}{
		"two nodes":              {service, nil, []discoveryv1.Endpoint{endpoint("a", &yes), endpoint("b", nil)}, "", ""},
		"one of two is not well": {service, nil, []discoveryv1.Endpoint{endpoint("a", &yes), endpoint("b", &no)}, plan.Blocker, "a only"},
		"none is well":           {service, nil, []discoveryv1.Endpoint{endpoint("a", &no)}, plan.Blocker, "no endpoint is ready"},
		"none is well, ignored":  {service, &ignore, []discoveryv1.Endpoint{endpoint("a", &no)}, "", ""},
		"a URL":                  {admissionv1.WebhookClientConfig{URL: &url}, nil, nil, plan.Warning, url},
	} {
		client := fake.NewClientset(
			&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "v"}, Webhooks: []admissionv1.ValidatingWebhook{{Name: "v.example.com", ClientConfig: c.client, FailurePolicy: c.failure}}},
			&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "ns", Labels: map[string]string{discoveryv1.LabelServiceName: "hook"}}, Endpoints: c.endpoints})
		found, err := findWebhooks(context.Background(), client)
		if err != nil {
			t.Fatal(err)
		}
		if (len(found) > 0) != (c.want != "") || len(found) > 0 && (found[0].Severity != c.want || !strings.Contains(found[0].What, c.says)) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestAnAlarmOfEtcdBlocks(t *testing.T) {
	members := []etcd.Member{{Machine: "a", ID: 1, Leader: 1}, {Machine: "b", ID: 2, Leader: 1, Alarms: []string{"memberID:2 alarm:NOSPACE "}}, {Machine: "c", ID: 3, Leader: 1}}
	in := &reading{Input: Input{Observation: observe.Observation{Members: members}}}
	found, err := etcdNow(context.Background(), in)
	if err != nil || len(found) != 1 || !found[0].Blocks() || !strings.Contains(found[0].What, "NOSPACE") {
		t.Errorf("%+v, %v", found, err)
	}
}

// machines are a cluster of which only that is asked which there are.
type machines struct {
	cluster.Cluster
	names []string
}

type machine struct {
	cluster.Machine
	name string
}

func (m machine) Name() string       { return m.name }
func (m machine) Role() cluster.Role { return cluster.Worker }

func (c machines) Machines() (out []cluster.Machine) {
	for _, n := range c.names {
		out = append(out, machine{name: n})
	}
	return out
}

// A look at a busy host that had no answer of an API server says nothing of nodes: those that were read do.
func TestNodesAreThoseThatWereRead(t *testing.T) {
	ready := func(name string, is corev1.ConditionStatus) corev1.Node {
		return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: is}}}}
	}
	in := &reading{Input: Input{Target: &observe.Target{Cluster: machines{names: []string{"a", "b", "c", "d"}}}, Unfinished: map[string]string{"d": "v1.35.4"}}, nodes: []corev1.Node{ready("a", corev1.ConditionTrue), ready("b", corev1.ConditionUnknown)}}
	found, err := nodesNow(context.Background(), in)
	if err != nil || len(found) != 2 || found[0].What != "node b is not Ready" || found[1].What != "c is no node of the cluster" {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestCertificatesOfKubeconfigsAreRead(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certutil.NewSelfSignedCACert(certutil.Config{CommonName: "x"}, key)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := certutil.EncodeCertificates(cert)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := clientcmd.Write(clientcmdapi.Config{AuthInfos: map[string]*clientcmdapi.AuthInfo{"admin": {ClientCertificateData: pem}}})
	if err != nil {
		t.Fatal(err)
	}
	kubelet, err := clientcmd.Write(clientcmdapi.Config{AuthInfos: map[string]*clientcmdapi.AuthInfo{"node": {ClientCertificate: "/var/lib/kubelet/pki/kubelet-client-current.pem"}}})
	if err != nil {
		t.Fatal(err)
	}
	text := "# /etc/kubernetes/pki/ca.crt\n" + string(pem) + "\n# /etc/kubernetes/admin.conf\n" + string(admin) + "\n# /etc/kubernetes/kubelet.conf\n" + string(kubelet)
	ends, err := expiries(text)
	if err != nil || len(ends) != 2 || !ends["/etc/kubernetes/admin.conf"].Equal(cert.NotAfter) || !ends["/etc/kubernetes/pki/ca.crt"].Equal(cert.NotAfter) {
		t.Errorf("%v, %v", ends, err)
	}
	if _, err := expiries("# /etc/kubernetes/pki/ca.crt\nnonsense"); err == nil {
		t.Error("a file without a certificate is well")
	}
}

func TestDeprecatedAPIsAreReadFromTheMetrics(t *testing.T) {
	page := `# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{group="policy",removed_release="1.36",resource="budgets",subresource="",version="v1beta1"} 1
apiserver_requested_deprecated_apis{group="",removed_release="",resource="componentstatuses",subresource="",version="v1"} 1
apiserver_requested_deprecated_apis{group="old",removed_release="1.36",resource="unused",subresource="",version="v1"} 0
apiserver_request_total{verb="a\"b"} 5
`
	used, err := deprecatedUse([]byte(page))
	if err != nil || len(used) != 2 || used["policy/v1beta1/budgets"] != "1.36" || used["v1/componentstatuses"] != "" {
		t.Errorf("%v, %v", used, err)
	}
	if _, err := deprecatedUse([]byte("apiserver_requested_deprecated_apis{torn")); err == nil {
		t.Error("a torn page is read")
	}
}

// TestWhatIsLateIsToldFromWhatIsSo: that somebody did not answer in time may be the host's doing; that he said no, or is not there, is not.
func TestWhatIsLateIsToldFromWhatIsSo(t *testing.T) {
	node := func(is corev1.ConditionStatus) corev1.Node {
		return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: is}}}}
	}
	silent := func(f ...cluster.Failure) (out []etcd.Member) {
		for i, failure := range f {
			out = append(out, etcd.Member{Machine: string(rune('a' + i)), Error: "no", Failure: failure})
		}
		return out
	}
	for name, c := range map[string]struct {
		in   reading
		look func(context.Context, *reading) ([]plan.Finding, error)
		want bool
	}{
		"a kubelet that has not told of itself":    {reading{nodes: []corev1.Node{node(corev1.ConditionUnknown)}}, nodesNow, true},
		"a kubelet that says that it is not Ready": {reading{nodes: []corev1.Node{node(corev1.ConditionFalse)}}, nodesNow, false},
		"members that do not answer":               {reading{Input: Input{Observation: observe.Observation{Members: silent(cluster.Deadline, cluster.Deadline)}}}, etcdNow, true},
		"one of them refuses":                      {reading{Input: Input{Observation: observe.Observation{Members: silent(cluster.Deadline, cluster.Refused)}}}, etcdNow, false},
		"one of them follows nobody":               {reading{Input: Input{Observation: observe.Observation{Members: []etcd.Member{{Machine: "a", ID: 1}}}}}, etcdNow, false},
	} {
		c.in.Target = &observe.Target{Cluster: machines{names: []string{"a"}}}
		found, err := c.look(context.Background(), &c.in)
		if err != nil || len(found) != 1 || !found[0].Blocks() || found[0].Late != c.want {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}
