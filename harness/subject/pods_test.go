package subject

import (
	"context"
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/cluster"
)

// noted is a machine that keeps what is written to it, and has a kubectl.
type noted struct {
	cluster.Machine
	name  string
	files map[string]string
}

func (m noted) Name() string { return m.name }

func (m noted) WriteFile(_ context.Context, path string, data []byte, _ fs.FileMode) error {
	m.files[path] = string(data)
	return nil
}

func (m noted) Exec(_ context.Context, c cluster.Command) (cluster.Result, error) {
	if strings.Contains(strings.Join(c.Args, " "), "command -v kubectl") {
		return cluster.Result{Stdout: "/opt/kubectl\n"}, nil
	}
	return cluster.Result{}, nil
}

type few struct {
	cluster.Cluster
	machines []cluster.Machine
}

func (f few) Machines() []cluster.Machine { return f.machines }

func (f few) Topology() cluster.Topology {
	return cluster.Topology{Name: "few", ControlPlanes: 2, Workers: 1, Named: []cluster.MachineSpec{{Name: "a", Role: cluster.ControlPlane}, {Name: "b", Role: cluster.ControlPlane}, {Name: "w", Role: cluster.Worker}}}
}

func (f few) Machine(name string) (cluster.Machine, error) {
	for _, m := range f.machines {
		if m.Name() == name {
			return m, nil
		}
	}
	return nil, cluster.Usagef("no machine %s", name)
}

// Who waits cannot be told from who is out of it where two are the same to the cloud.
func TestEachCallerOfTheCloudIsSomebodyOfItsOwn(t *testing.T) {
	on := few{}
	files := map[string]map[string]string{}
	for _, name := range []string{"a", "b", "w"} {
		files[name] = map[string]string{}
		on.machines = append(on.machines, noted{name: name, files: files[name]})
	}
	p := pods{
		Component: Component{Subject: "legacy-v0.17.4", Images: []string{"cloud-provider-azure"}, Nodes: []string{"n"}, Every: time.Second, Addons: true},
		twin:      azure.Ready{Endpoint: "https://192.0.2.1"}, group: "few", ca: "/etc/twin/ca.pem", versions: map[string]string{"legacy-v0.17.4": "v0.17.4", "cloud-provider-azure": "v1.36.5"},
	}
	if err := p.deployAddons(t.Context(), on); err != nil {
		t.Fatal(err)
	}
	if err := onControlPlanes(on, func(m cluster.Machine) error { return p.place(t.Context(), m) }); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{} // principal -> whose
	for machine, has := range files {
		for path, raw := range has {
			if !strings.HasPrefix(path, configDir+"/") || path == configCloud {
				continue
			}
			var config struct{ AADClientID string }
			if err := json.Unmarshal([]byte(raw), &config); err != nil {
				t.Fatal(path, err)
			}
			whose := path
			if strings.Contains(path, componentName) {
				whose += " of " + machine
			}
			if other, taken := seen[config.AADClientID]; !strings.HasPrefix(config.AADClientID, subjectPrincipal+"-") || taken && other != whose {
				t.Errorf("%s is %q to the cloud, as %s is", whose, config.AADClientID, other)
			}
			seen[config.AADClientID] = whose
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d callers: %v; want two components, an addon and a cluster-autoscaler", len(seen), seen)
	}
	var d appsv1.Deployment
	if err := yaml.Unmarshal([]byte(files["b"][addonFile]), &d); err != nil || d.Labels["addonmanager.kubernetes.io/mode"] != "EnsureExists" || d.Spec.Template.Spec.Containers[0].Image != "drydock.dev/cloud-provider:v0.17.4" {
		t.Errorf("the addon's file: %v\n%s", err, files["b"][addonFile])
	}
	if len(files["w"]) != 3 || !strings.Contains(files["a"][addonManagerManifest], "path: /opt/kubectl") {
		t.Errorf("the worker has %d files, and the addon manager is\n%s", len(files["w"]), files["a"][addonManagerManifest])
	}
}
