package subject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/cluster"
)

// Component is a cloud provider of hack/subjects that runs as a component of a cluster: a static pod of every control plane, as AKS Engine's cloud controller
// manager is one, and a cluster-autoscaler among the addons. Each asks after nodes whose machines are gone, as controllers do that have business with them
// still. What it asks is the subject's own doing.
type Component struct {
	Subject   string   `yaml:"subject"`   // that runs at first
	Images    []string `yaml:"images"`    // other subjects that the machines have images of
	Nodes     []string `yaml:"nodes"`     // asked after
	Every     Span     `yaml:"every"`     // from an answer to the next question about the same node, by the wall's clock
	ScaleSets int      `yaml:"scaleSets"` // in the cluster's resource group, of an instance that does not come: each has a list of them that may be read
}

// ComponentFields lists the names a file may use.
const ComponentFields = "subject, images, nodes, every, scaleSets"

// ComponentImage is what images of subjects are called; their versions are those of the providers.
const ComponentImage = "cloud-provider"

// ComponentPrincipal is who they are to the twin.
const ComponentPrincipal = subjectPrincipal

// Validate says what is wrong with it.
func (c Component) Validate() error {
	switch {
	case c.Subject == "":
		return errors.New("subject is empty: nothing would run")
	case len(c.Nodes) == 0 || c.Every <= 0:
		return errors.New("nodes and every: it would ask nothing")
	case c.ScaleSets < 0 || c.ScaleSets > 500:
		return fmt.Errorf("scaleSets is %d; 0 to 500", c.ScaleSets)
	}
	return nil
}

// providerModules are those whose version is a subject's.
var providerModule = regexp.MustCompile(`(?m)^\s*(?:require\s+)?(?:k8s\.io/legacy-cloud-providers|sigs\.k8s\.io/cloud-provider-azure) (v\S+)$`)

// Version is that of the provider a subject is built of, as its go.mod says.
func (b Builder) Version(name string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(b.Source, "hack", "subjects", name, "go.mod"))
	if err != nil {
		return "", cluster.Usagef("no subject %q: %w; known: %s", name, err, strings.Join(b.known(), ", "))
	}
	m := providerModule.FindSubmatch(raw)
	if m == nil {
		return "", cluster.Usagef("subject %s is no cloud provider", name)
	}
	return string(m[1]), nil
}

// Where it is on a machine.
const (
	componentName     = "cloud-controller-manager"
	componentManifest = "/etc/kubernetes/manifests/" + componentName + ".yaml"
	componentConfig   = "/etc/kubernetes/azure.json"
	componentCloud    = "/etc/kubernetes/azurestackcloud.json"
)

// Deploy builds the images, makes the scale sets, and starts the static pods. ready is the twin's file as the machines have it, and ca that of its authority.
func (c Component) Deploy(ctx context.Context, b Builder, on cluster.Cluster, twin *azure.Twin, ready azure.Ready, ca string) error {
	loader, ok := on.(cluster.Loader)
	if !ok {
		return cluster.Usagef("cloudProvider: the machines of cluster %s can be given no image", on.Topology().Name)
	}
	for _, s := range append([]string{c.Subject}, c.Images...) {
		version, err := b.Version(s)
		if err != nil {
			return err
		}
		program, err := b.Build(ctx, s)
		if err != nil {
			return err
		}
		if err := loader.LoadImage(ctx, ComponentImage, version, program); err != nil {
			return err
		}
	}
	if err := c.makeSets(ready.Subscription, on.Topology().Name, twin); err != nil {
		return err
	}
	version, err := b.Version(c.Subject)
	if err != nil {
		return err
	}
	files, err := c.files(on.Topology().Name, version, ready, ca)
	if err != nil {
		return err
	}
	return onControlPlanes(on, func(m cluster.Machine) error {
		for _, f := range files {
			if err := m.WriteFile(ctx, f.path, f.content, f.mode); err != nil {
				return err
			}
		}
		return nil
	})
}

// Remove takes the pods and their files away; idempotent.
func (c Component) Remove(ctx context.Context, on cluster.Cluster) error {
	return onControlPlanes(on, func(m cluster.Machine) error {
		_, err := m.Exec(ctx, cluster.Command{Args: []string{"rm", "-f", componentManifest, componentConfig, componentCloud}})
		return err
	})
}

func onControlPlanes(on cluster.Cluster, do func(m cluster.Machine) error) error {
	var errs []error
	for _, name := range on.Topology().ControlPlaneMachines() {
		m, err := on.Machine(name)
		if err == nil {
			err = do(m)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// makeSets puts the scale sets among the twin's documents: there is no machine behind them, and none is made.
func (c Component) makeSets(subscription, group string, twin *azure.Twin) error {
	saved := twin.State()
	for i := range c.ScaleSets {
		id := "/subscriptions/" + subscription + "/resourceGroups/" + group + "/providers/Microsoft.Compute/virtualMachineScaleSets/" + setName(i)
		raw, err := json.Marshal(map[string]any{
			"id": id, "name": setName(i), "type": "Microsoft.Compute/virtualMachineScaleSets", "location": azure.DefaultRegion,
			"sku": map[string]any{"name": "Standard_D2s_v3", "tier": "Standard", "capacity": 1}, // of one without any nobody lists the instances
			"properties": map[string]any{
				"provisioningState": "Succeeded", "orchestrationMode": "Uniform", "uniqueId": arm.Derived("scaleset", setName(i)),
				"virtualMachineProfile": map[string]any{"osProfile": map[string]any{"computerNamePrefix": setName(i)}},
			},
		})
		if err != nil {
			return err
		}
		saved.Resources = append(saved.Resources, raw)
	}
	return twin.Load(saved)
}

type onMachine struct {
	path    string
	content []byte
	mode    fs.FileMode
}

// files are a control plane's: what the component reads, and last its manifest.
func (c Component) files(group, version string, twin azure.Ready, ca string) ([]onMachine, error) {
	config, err := json.MarshalIndent(map[string]any{
		// adfs: the authority of a private cloud. Today's provider asks login.microsoftonline.com about any other that it does not know.
		"cloud": "AzureStackCloud", "tenantId": "adfs", "aadClientId": ComponentPrincipal, "aadClientSecret": "secret", "subscriptionId": twin.Subscription,
		"resourceGroup": group, "location": azure.DefaultRegion, "vmType": "vmss", "vnetName": "net", "subnetName": "machines", "securityGroupName": "nsg", "routeTableName": "routes",
		"primaryScaleSetName": setName(0), "loadBalancerSku": "standard", "useInstanceMetadata": false, "disableAzureStackCloud": true,
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	cloud, err := json.MarshalIndent(twin.Description(), "", "  ")
	if err != nil {
		return nil, err
	}
	return []onMachine{
		{componentConfig, config, 0o600}, {componentCloud, cloud, 0o644},
		{componentManifest, []byte(c.manifest(version, ca)), 0o600},
	}, nil
}

func (c Component) manifest(version, ca string) string {
	return fmt.Sprintf(`# The cloud provider as a component, as AKS Engine has its cloud-controller-manager.
apiVersion: v1
kind: Pod
metadata:
  name: %[1]s
  namespace: kube-system
  labels: {component: %[1]s, tier: control-plane}
spec:
  hostNetwork: true
  priorityClassName: system-node-critical
  containers:
  - name: %[1]s
    image: drydock.dev/%[2]s:%[3]s
    command: [%[2]s, serve, "--cloud-config=%[4]s", "--nodes=%[5]s", "--every=%[6]s"]
    env:
    - {name: AZURE_ENVIRONMENT_FILEPATH, value: %[7]s}
    - {name: SSL_CERT_FILE, value: %[8]s}
    volumeMounts:
    - {name: kubernetes, mountPath: /etc/kubernetes, readOnly: true}
    - {name: ca, mountPath: %[9]s, readOnly: true}
  volumes:
  - {name: kubernetes, hostPath: {path: /etc/kubernetes, type: Directory}}
  - {name: ca, hostPath: {path: %[9]s, type: Directory}}
`, componentName, ComponentImage, version, componentConfig, strings.Join(c.Nodes, ","), c.Every, componentCloud, ca, filepath.Dir(ca))
}
