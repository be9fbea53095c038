package kind

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/util/version"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"
)

// argument is one of extraArgs, as kubeadm's v1beta4 has them.
type argument struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type component struct {
	ExtraArgs []argument `json:"extraArgs"`
}

// clusterConfiguration is what of kubeadm's kind does not choose itself.
type clusterConfiguration struct {
	APIServer         component `json:"apiServer"`
	ControllerManager component `json:"controllerManager"`
	Scheduler         component `json:"scheduler"`
	Etcd              struct {
		Local component `json:"local"`
	} `json:"etcd"`
}

// lists is the version from which kind writes kubeadm's v1beta4, where arguments are a list; before, they are a map (kind 0.33, internal/kubeadm).
const lists = "v1.36.0"

// patches are what changes kind's kubeadm configuration to the arguments and the kubelet's fields of ours. Everything else of it stays kind's:
// names, addresses, networks.
func patches(raw []byte, v string) (merge []string, json6902 []v1alpha4.PatchJSON6902, err error) {
	at, err := version.ParseGeneric(v)
	if err != nil {
		return nil, nil, fmt.Errorf("kind: version: %w", err)
	}
	asList := at.AtLeast(version.MustParseGeneric(lists))
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return merge, json6902, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("kind: kubeadm configuration: %w", err)
		}
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			return nil, nil, fmt.Errorf("kind: kubeadm configuration: %w", err)
		}
		switch kind.Kind {
		case "KubeletConfiguration":
			merge = append(merge, string(doc))
		case "ClusterConfiguration":
			var c clusterConfiguration
			if err := yaml.Unmarshal(doc, &c); err != nil {
				return nil, nil, fmt.Errorf("kind: kubeadm configuration: %w", err)
			}
			patch, ops, err := c.patch(asList)
			if err != nil {
				return nil, nil, err
			}
			merge = append(merge, patch)
			if ops != nil {
				json6902 = append(json6902, *ops)
			}
		default: // kind's own
		}
	}
}

// patch merges where kind has nothing of its own, and appends where it has a list: to merge a list is to replace it.
func (c clusterConfiguration) patch(asList bool) (merge string, ops *v1alpha4.PatchJSON6902, err error) {
	value := func(args []argument) any {
		if asList {
			return args
		}
		out := map[string]string{}
		for _, a := range args {
			out[a.Name] = a.Value
		}
		return out
	}
	doc := map[string]any{
		"kind": "ClusterConfiguration", "scheduler": map[string]any{"extraArgs": value(c.Scheduler.ExtraArgs)},
		"etcd": map[string]any{"local": map[string]any{"extraArgs": value(c.Etcd.Local.ExtraArgs)}},
	}
	if !asList {
		doc["apiServer"] = map[string]any{"extraArgs": value(c.APIServer.ExtraArgs)}
		doc["controllerManager"] = map[string]any{"extraArgs": value(c.ControllerManager.ExtraArgs)}
	}
	out, err := yaml.Marshal(doc)
	if err != nil || !asList {
		return string(out), nil, err
	}
	type op struct {
		Op    string   `json:"op"`
		Path  string   `json:"path"`
		Value argument `json:"value"`
	}
	var add []op
	for _, a := range c.APIServer.ExtraArgs {
		add = append(add, op{"add", "/apiServer/extraArgs/-", a})
	}
	for _, a := range c.ControllerManager.ExtraArgs {
		add = append(add, op{"add", "/controllerManager/extraArgs/-", a})
	}
	if len(add) == 0 {
		return string(out), nil, nil
	}
	text, err := json.Marshal(add)
	return string(out), &v1alpha4.PatchJSON6902{Group: "kubeadm.k8s.io", Version: "v1beta4", Kind: "ClusterConfiguration", Patch: string(text)}, err
}
