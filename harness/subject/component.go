package subject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/cluster"
)

// Component is a cloud provider of hack/subjects that runs as a component of a cluster: a static pod of every control plane, as AKS Engine's cloud controller
// manager is one, and with Addons a Deployment of an addon and a cluster-autoscaler. Each is somebody of his own to the cloud, and asks after nodes whose
// machines are gone, as controllers do that have business with them still. What it asks is the subject's own doing.
type Component struct {
	Subject   string   `yaml:"subject"`   // that runs at first
	Images    []string `yaml:"images"`    // other subjects that the machines have images of
	Nodes     []string `yaml:"nodes"`     // asked after
	Every     Span     `yaml:"every"`     // from an answer to the next question about the same node, by the wall's clock
	ScaleSets int      `yaml:"scaleSets"` // in the cluster's resource group, of an instance that does not come: each has a list of them that may be read
	Addons    bool     `yaml:"addons"`    // the subject is an addon as well, kept by addon managers, and the first of Images a cluster-autoscaler
}

// ComponentImage is what images of subjects are called; their versions are those of the providers.
const ComponentImage = "cloud-provider"

// Validate says what is wrong with it.
func (c Component) Validate() error {
	switch {
	case c.Subject == "":
		return errors.New("subject is empty: nothing would run")
	case len(c.Nodes) == 0 || c.Every <= 0:
		return errors.New("nodes and every: it would ask nothing")
	case c.ScaleSets < 0 || c.ScaleSets > 500:
		return fmt.Errorf("scaleSets is %d; 0 to 500", c.ScaleSets)
	case c.Addons && len(c.Images) == 0:
		return errors.New("addons and no images: the cluster-autoscaler runs the first of them")
	}
	return nil
}

// Programs are the subjects that it is made of: what calls the cloud at first and later, and with Addons who puts those back.
func (c Component) Programs() []string {
	out := slices.Concat([]string{c.Subject}, c.Images)
	if c.Addons {
		out = append(out, addonManager)
	}
	return out
}

// providerModule is a line of a go.mod with one whose version is a subject's.
var providerModule = regexp.MustCompile(`(?m)^\s*(?:require\s+)?(?:k8s\.io/legacy-cloud-providers|sigs\.k8s\.io/cloud-provider-azure) (v\S+)$`)

// Version is that of the provider a subject is built of, as its go.mod says.
func (b Builder) Version(name string) (string, error) {
	raw, err := fs.ReadFile(b.Source, path.Join(subjects, name, "go.mod"))
	if err != nil {
		return "", cluster.Usagef("no subject %q: %w; known: %s", name, err, strings.Join(b.known(), ", "))
	}
	m := providerModule.FindSubmatch(raw)
	if m == nil {
		return "", cluster.Usagef("subject %s is no cloud provider", name)
	}
	return string(m[1]), nil
}

// Deploy builds the images, makes the scale sets, and starts the pods: those of addons it sees running. ready is the twin's file as the machines have it, and
// ca that of its authority.
func (c Component) Deploy(ctx context.Context, b Builder, on cluster.Cluster, twin *azure.Twin, ready azure.Ready, ca string) error {
	versions, err := c.load(ctx, b, on)
	if err != nil {
		return err
	}
	if err := c.makeSets(ready.Subscription, on.Topology().Name, twin); err != nil {
		return err
	}
	p := pods{Component: c, twin: ready, group: on.Topology().Name, ca: ca, versions: versions}
	if c.Addons {
		if err := p.deployAddons(ctx, on); err != nil {
			return err
		}
	}
	return onControlPlanes(on, func(m cluster.Machine) error { return p.place(ctx, m) })
}

// load gives the machines the images, and says which version each subject's has.
func (c Component) load(ctx context.Context, b Builder, on cluster.Cluster) (versions map[string]string, err error) {
	loader, ok := on.(cluster.Loader)
	if !ok {
		return nil, cluster.Usagef("cloudProvider: the machines of cluster %s can be given no image", on.Topology().Name)
	}
	versions = map[string]string{}
	for i, s := range slices.Concat(c.Images, []string{c.Subject}) {
		if versions[s], err = b.Version(s); err != nil {
			return nil, err
		}
		program, err := b.Build(ctx, s)
		if err != nil {
			return nil, err
		}
		if err := loader.LoadImage(ctx, ComponentImage, versions[s], program); err != nil {
			return nil, err
		}
		if c.Addons && i == 0 {
			if err := loader.LoadImage(ctx, autoscaler, versions[s], program); err != nil {
				return nil, err
			}
		}
	}
	if !c.Addons {
		return versions, nil
	}
	program, err := b.Build(ctx, addonManager)
	if err != nil {
		return nil, err
	}
	return versions, loader.LoadImage(ctx, addonManager, addonManagerVersion, program)
}

// Remove takes the pods and their files away; idempotent.
func (c Component) Remove(ctx context.Context, on cluster.Cluster) error {
	err := onControlPlanes(on, func(m cluster.Machine) error {
		_, err := m.Exec(ctx, cluster.Command{Args: []string{"rm", "-f", componentManifest, addonManagerManifest, addonFile}})
		return err
	})
	if c.Addons {
		err = errors.Join(err, onFirst(on, func(m cluster.Machine) error {
			return kubectl(ctx, m, nil, "delete", "deployment", addon, autoscaler, "--ignore-not-found")
		}))
	}
	for _, m := range on.Machines() {
		_, rm := m.Exec(ctx, cluster.Command{Args: []string{"rm", "-rf", configDir}})
		err = errors.Join(err, rm)
	}
	return err
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
