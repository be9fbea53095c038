package subject

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/cluster"
)

// Who calls the cloud, and who puts addons back.
const (
	componentName = "cloud-controller-manager"
	addon         = "csi-azuredisk-controller"
	autoscaler    = "cluster-autoscaler"
	addonManager  = "kube-addon-manager" // a program of hack/subjects too

	addonManagerVersion = "v1"
)

// Where it is on a machine.
const (
	componentManifest    = "/etc/kubernetes/manifests/" + componentName + ".yaml"
	addonManagerManifest = "/etc/kubernetes/manifests/" + addonManager + ".yaml"
	addonFile            = "/etc/kubernetes/addons/" + addon + ".yaml"
	configDir            = "/etc/kubernetes/azure" // who each is to the cloud, and where that is
	configCloud          = configDir + "/cloud.json"
	adminConfig          = "/etc/kubernetes/admin.conf"
)

// pods makes those of a component.
type pods struct {
	Component
	twin      azure.Ready
	group, ca string
	versions  map[string]string // of the subjects
}

// caller is a process that calls the cloud.
type caller struct {
	name, image string
	principal   string // what it is called there comes after the name that all have
	port        int    // of its metrics; 0: its own
}

// The ports of the addons' metrics: all have the host's network.
const (
	addonPort      = 10310
	autoscalerPort = 10311
)

func (c caller) config() string { return configDir + "/" + c.name + ".json" }

// place gives a control plane what its component reads, and last the manifest by which it runs.
func (p pods) place(ctx context.Context, m cluster.Machine) error {
	c := caller{name: componentName, image: ComponentImage + ":" + p.versions[p.Subject], principal: m.Name()}
	if err := p.configure(ctx, m, c); err != nil {
		return err
	}
	raw, err := yaml.Marshal(corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: staticPod(c.name), Spec: p.spec(c)})
	if err != nil {
		return err
	}
	return m.WriteFile(ctx, componentManifest, append([]byte("# The cloud provider as a component, as AKS Engine has its cloud-controller-manager.\n"), raw...), 0o600)
}

func staticPod(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceSystem, Labels: map[string]string{"component": name, "tier": "control-plane"}}
}

// configure gives a machine what says who a caller is to the cloud, and where that is.
func (p pods) configure(ctx context.Context, m cluster.Machine, c caller) error {
	config, err := json.MarshalIndent(map[string]any{
		// adfs: the authority of a private cloud. Today's provider asks login.microsoftonline.com about any other that it does not know.
		"cloud": "AzureStackCloud", "tenantId": "adfs", "aadClientId": subjectPrincipal + "-" + c.principal, "aadClientSecret": "secret", "subscriptionId": p.twin.Subscription,
		"resourceGroup": p.group, "location": azure.DefaultRegion, "vmType": "vmss", "vnetName": "net", "subnetName": "machines", "securityGroupName": "nsg", "routeTableName": "routes",
		"primaryScaleSetName": setName(0), "loadBalancerSku": "standard", "useInstanceMetadata": false, "disableAzureStackCloud": true,
	}, "", "  ")
	if err != nil {
		return err
	}
	cloud, err := json.MarshalIndent(p.twin.Description(), "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(m.WriteFile(ctx, configCloud, cloud, 0o644), m.WriteFile(ctx, c.config(), config, 0o600))
}

func (p pods) spec(c caller) corev1.PodSpec {
	command := []string{strings.Split(c.image, ":")[0], "serve", "--cloud-config=" + c.config(), "--nodes=" + strings.Join(p.Nodes, ","), "--every=" + p.Every.String()}
	if c.port != 0 {
		command = append(command, fmt.Sprintf("--secure-port=%d", c.port))
	}
	return corev1.PodSpec{
		HostNetwork: true, PriorityClassName: "system-node-critical",
		Containers: []corev1.Container{{
			Name: c.name, Image: "drydock.dev/" + c.image, Command: command,
			Env:          []corev1.EnvVar{{Name: "AZURE_ENVIRONMENT_FILEPATH", Value: configCloud}, {Name: "SSL_CERT_FILE", Value: p.ca}},
			VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: configDir, ReadOnly: true}, {Name: "ca", MountPath: filepath.Dir(p.ca), ReadOnly: true}},
		}},
		Volumes: []corev1.Volume{hostDirectory("config", configDir), hostDirectory("ca", filepath.Dir(p.ca))},
	}
}

func hostDirectory(name, path string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}}
}

// deployment is one of a single pod that calls the cloud. The new one has the port of the old, so that never both are there.
func (p pods) deployment(c caller, labels map[string]string, change func(*corev1.PodSpec)) ([]byte, error) {
	app := map[string]string{"app": c.name}
	labels["app"] = c.name
	one := int32(1)
	d := appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: metav1.ObjectMeta{Name: c.name, Namespace: metav1.NamespaceSystem, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: app}, Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: app}, Spec: p.spec(c)},
		},
	}
	change(&d.Spec.Template.Spec)
	return yaml.Marshal(d)
}

// deployAddons starts an addon of the subject's on a worker, which addon managers make again when it is missing, and on a control plane a cluster-autoscaler,
// which is nobody's but the API's.
func (p pods) deployAddons(ctx context.Context, on cluster.Cluster) error {
	disks := caller{name: addon, image: ComponentImage + ":" + p.versions[p.Subject], principal: addon, port: addonPort}
	scaler := caller{name: autoscaler, image: autoscaler + ":" + p.versions[p.Images[0]], principal: autoscaler, port: autoscalerPort}
	for _, m := range on.Machines() {
		if err := errors.Join(p.configure(ctx, m, disks), p.configure(ctx, m, scaler)); err != nil {
			return err
		}
	}
	file, err := p.deployment(disks, map[string]string{"addonmanager.kubernetes.io/mode": "EnsureExists"}, func(*corev1.PodSpec) {})
	if err != nil {
		return err
	}
	const controlPlane = "node-role.kubernetes.io/control-plane"
	own, err := p.deployment(scaler, map[string]string{}, func(s *corev1.PodSpec) {
		s.NodeSelector = map[string]string{controlPlane: ""}
		s.Tolerations = []corev1.Toleration{{Key: controlPlane, Operator: corev1.TolerationOpExists}}
	})
	if err != nil {
		return err
	}
	if err := onControlPlanes(on, func(m cluster.Machine) error { return p.manageAddons(ctx, m, file) }); err != nil {
		return err
	}
	return onFirst(on, func(m cluster.Machine) error {
		if err := kubectl(ctx, m, own, "apply", "-f", "-"); err != nil {
			return err
		}
		return cluster.Await(ctx, "an addon and a cluster-autoscaler", cluster.Wait{For: addonsWithin, Every: time.Second}, func(ctx context.Context) error {
			return kubectl(ctx, m, nil, "wait", "--for=condition=Available", "--timeout=10s", "deployment/"+addon, "deployment/"+autoscaler)
		})
	})
}

// addonsWithin is how long the addon managers and the kubelets may take to start them.
const addonsWithin = 2 * time.Minute

// manageAddons gives a machine an addon's file and who has that in the cluster. Its image has no kubectl: the machine's is mounted.
func (p pods) manageAddons(ctx context.Context, m cluster.Machine, file []byte) error {
	found, err := cluster.Shell(ctx, m, "command -v kubectl")
	if err != nil {
		return err
	}
	program := strings.TrimSpace(found)
	pod := corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: staticPod(addonManager), Spec: corev1.PodSpec{
		HostNetwork: true, PriorityClassName: "system-node-critical",
		Containers: []corev1.Container{{
			Name: addonManager, Image: "drydock.dev/" + addonManager + ":" + addonManagerVersion, Command: []string{addonManager, "--path=" + path.Dir(addonFile), "--every=15s"},
			Env:          []corev1.EnvVar{{Name: "KUBECONFIG", Value: adminConfig}},
			VolumeMounts: []corev1.VolumeMount{{Name: "kubernetes", MountPath: "/etc/kubernetes", ReadOnly: true}, {Name: "kubectl", MountPath: "/usr/local/bin/kubectl", ReadOnly: true}},
		}},
		Volumes: []corev1.Volume{hostDirectory("kubernetes", "/etc/kubernetes"), hostDirectory("kubectl", program)},
	}}
	raw, err := yaml.Marshal(pod)
	if err != nil {
		return err
	}
	return errors.Join(m.WriteFile(ctx, addonFile, file, 0o644), m.WriteFile(ctx, addonManagerManifest, raw, 0o600))
}

// onFirst does it where somebody can type kubectl.
func onFirst(on cluster.Cluster, do func(m cluster.Machine) error) error {
	m, err := on.Machine(on.Topology().ControlPlaneMachines()[0])
	if err != nil {
		return err
	}
	return do(m)
}

func kubectl(ctx context.Context, m cluster.Machine, input []byte, args ...string) error {
	_, err := m.Exec(ctx, cluster.Command{Args: append([]string{"kubectl", "--kubeconfig", adminConfig, "--namespace", metav1.NamespaceSystem}, args...), Stdin: bytes.NewReader(input)})
	return err
}
