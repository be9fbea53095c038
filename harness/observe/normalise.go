package observe

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Fields that a kind's controllers write, besides those of every object. Lists are named by their path.
func written(kind string) [][]string {
	switch kind {
	case "Lease.coordination.k8s.io": // whose it is, since when, and at which address an API server says it is; that there is one stays
		return [][]string{
			{"spec", "holderIdentity"}, {"spec", "acquireTime"}, {"spec", "renewTime"}, {"spec", "leaseTransitions"},
			{"metadata", "annotations", "kubernetes.io/peer-advertise-address"},
		}
	case "Endpoints":
		return [][]string{{"subsets"}, {"metadata", "annotations", "endpoints.kubernetes.io/last-change-trigger-time"}}
	case "EndpointSlice.discovery.k8s.io":
		return [][]string{{"endpoints"}, {"metadata", "annotations", "endpoints.kubernetes.io/last-change-trigger-time"}}
	case "ServiceAccount":
		return [][]string{{"secrets"}, {"imagePullSecrets"}}
	case "Deployment.apps":
		return [][]string{{"metadata", "annotations", "deployment.kubernetes.io/revision"}}
	case "Pod": // the kubelet's, of a static pod's mirror
		return [][]string{
			{"metadata", "annotations", "kubernetes.io/config.hash"}, {"metadata", "annotations", "kubernetes.io/config.mirror"},
			{"metadata", "annotations", "kubernetes.io/config.seen"},
		}
	}
	return nil
}

// normalise takes out of an object what its owner did not put there, and reports whether anything is left to compare:
//   - of every object uid, resourceVersion, generation, creationTimestamp, managedFields, ownerReferences and status;
//   - objects that have a controller: that makes and removes them, and is compared itself. A static pod's mirror has its Node for one, and stays;
//   - bootstrap tokens, what they sign in cluster-info, and kubeadm's uploaded certificates: they expire by themselves;
//   - how an etcd member first joined;
//   - all that the clients of a run write, in their namespace; the namespace itself stays.
//
// Values of Secrets become hashes.
func normalise(kind string, u *unstructured.Unstructured) bool {
	if u.GetNamespace() == ClientsNamespace {
		return false
	}
	owner := metav1.GetControllerOf(u)
	if owner != nil && owner.Kind != "Node" {
		return false
	}
	o := u.Object
	if kind == "Secret" && !hideSecret(o) {
		return false
	}
	if kind == "ConfigMap" && u.GetNamespace() == metav1.NamespacePublic && u.GetName() == "cluster-info" {
		data, _, _ := unstructured.NestedMap(o, "data")
		for key := range data {
			if strings.HasPrefix(key, "jws-kubeconfig-") {
				unstructured.RemoveNestedField(o, "data", key)
			}
		}
	}
	switch kind {
	case "Node":
		normaliseNode(o)
	case "Pod":
		normaliseMember(o)
	}
	drop := append(written(kind), []string{"apiVersion"}, []string{"kind"}, []string{"status"})
	for _, f := range []string{"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences", "selfLink", "generateName"} {
		drop = append(drop, []string{"metadata", f})
	}
	if kind == "Node" { // see normaliseNode
		drop = slices.DeleteFunc(drop, func(p []string) bool { return slices.Equal(p, []string{"metadata", "uid"}) || p[0] == "status" })
	}
	for _, path := range drop {
		unstructured.RemoveNestedField(o, path...)
	}
	normaliseTemplates(o)
	return true
}

// normaliseTemplates drops when a template was created, which nobody knows: API servers said null before 1.34, and leave it out since.
func normaliseTemplates(v any) {
	switch v := v.(type) {
	case map[string]any:
		if v["creationTimestamp"] == nil {
			delete(v, "creationTimestamp")
		}
		for _, x := range v {
			normaliseTemplates(x)
		}
	case []any:
		for _, x := range v {
			normaliseTemplates(x)
		}
	}
}

// normaliseNode keeps the owner's part, and who the node is: its uid and its machine's boot id, which tell a Node that was
// deleted from a machine that was replaced, and its kubelet's version, which tells whether an upgrade has come to it.
func normaliseNode(o map[string]any) {
	info, _, _ := unstructured.NestedMap(o, "status", "nodeInfo")
	o["status"] = map[string]any{"bootID": info["bootID"], "kubeletVersion": info["kubeletVersion"]}
	for _, what := range []string{"labels", "annotations"} {
		m, _, _ := unstructured.NestedMap(o, "metadata", what)
		for key := range m {
			if ControllersOwn(key) {
				unstructured.RemoveNestedField(o, "metadata", what, key)
			}
		}
	}
	taints, _, _ := unstructured.NestedSlice(o, "spec", "taints")
	taints = slices.DeleteFunc(taints, func(t any) bool {
		m, ok := t.(map[string]any)
		if !ok {
			return false
		}
		delete(m, "timeAdded")
		key, _ := m["key"].(string)
		return ControllersOwn(key)
	})
	if len(taints) == 0 {
		unstructured.RemoveNestedField(o, "spec", "taints")
		return
	}
	_ = unstructured.SetNestedSlice(o, taints, "spec", "taints")
}

// normaliseMember drops the flags that say how an etcd member first joined: it ignores them once it has data (etcd's clustering guide), and whoever puts a
// member back that has lost its data must write others.
func normaliseMember(o map[string]any) {
	containers, _, _ := unstructured.NestedSlice(o, "spec", "containers")
	for _, c := range containers {
		m, ok := c.(map[string]any)
		if !ok || m["name"] != "etcd" {
			continue
		}
		command, _ := m["command"].([]any)
		m["command"] = slices.DeleteFunc(command, func(a any) bool {
			flag, _, _ := strings.Cut(fmt.Sprint(a), "=")
			return flag == "--initial-cluster" || flag == "--initial-cluster-state"
		})
		_ = unstructured.SetNestedSlice(o, containers, "spec", "containers")
	}
}

// ControllersOwn reports whether a label, annotation or taint of a Node is set and removed by a controller, as the node fares. All others are compared.
func ControllersOwn(key string) bool {
	key, _, _ = strings.Cut(key, "=") // a taint may come with its value and effect
	key, _, _ = strings.Cut(key, ":")
	switch key {
	case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, // node life cycle controller, by the Ready condition
		corev1.TaintNodeMemoryPressure, corev1.TaintNodeDiskPressure, corev1.TaintNodePIDPressure, corev1.TaintNodeNetworkUnavailable, // the same, by the others
		corev1.TaintNodeUnschedulable,                    // the same, by spec.unschedulable, which is compared
		"node.cloudprovider.kubernetes.io/uninitialized", // cloud provider (k8s.io/cloud-provider/api)
		"node.cloudprovider.kubernetes.io/shutdown",
		"node.alpha.kubernetes.io/ttl",    // TTL controller, by the number of nodes (corev1.ObjectTTLAnnotationKey)
		"csi.volume.kubernetes.io/nodeid": // kubelet, by the CSI drivers that are registered
		return true
	}
	return false
}

// hideSecret replaces values by their hashes; false: the Secret expires by itself.
func hideSecret(o map[string]any) bool {
	name, _, _ := unstructured.NestedString(o, "metadata", "name")
	if kind, _, _ := unstructured.NestedString(o, "type"); kind == "bootstrap.kubernetes.io/token" || name == "kubeadm-certs" {
		return false
	}
	for _, path := range [][]string{{"data"}, {"metadata", "annotations"}} { // kubectl apply writes the whole Secret into one
		values, _, _ := unstructured.NestedMap(o, path...)
		for key, v := range values {
			values[key] = hidden(fmt.Sprint(v))
		}
		if len(values) > 0 {
			_ = unstructured.SetNestedMap(o, values, path...)
		}
	}
	return true
}

func decode(raw []byte) (map[string]any, error) {
	var out map[string]any
	err := json.Unmarshal(raw, &out)
	return out, err
}

// longest is how much of a value is kept; of a longer one only its hash.
const longest = 4096

// flatten makes one row of every value. Members of a list are told apart by their names where they have such, by their whole content otherwise, so that
// one more is one more row; a list of plain values is one value. YAML in a string, as kubeadm's ConfigMaps have it, is looked into.
func flatten(path string, v any, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			flatten(join(path, key), x, into)
		}
		if len(v) == 0 && !strings.HasPrefix(path, "metadata") { // annotations may be empty or not there
			into[path] = "{}"
		}
	case []any:
		flattenList(path, v, into)
	case string:
		if m := yamlIn(v); m != nil {
			flatten(path, m, into)
			return
		}
		if len(v) > longest {
			v = hidden(v)
		}
		into[path] = text(v)
	default:
		into[path] = text(v)
	}
}

func flattenList(path string, list []any, into map[string]string) {
	names := map[string]bool{}
	maps := len(list) > 0
	for _, x := range list {
		m, isMap := x.(map[string]any)
		maps = maps && isMap
		if name, ok := m["name"].(string); ok {
			names[name] = true
		}
	}
	if !maps {
		into[path] = text(list)
		return
	}
	times := map[string]int{}
	for _, x := range list {
		if len(names) == len(list) {
			name, _ := x.(map[string]any)["name"].(string)
			flatten(path+"["+name+"]", x, into)
			continue
		}
		member := path + "[" + text(x) + "]"
		times[member]++
		into[member] = strconv.Itoa(times[member])
	}
}

func join(path, key string) string {
	switch {
	case strings.ContainsAny(key, "./"):
		return path + "[" + key + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

// text is the value as JSON, with sorted keys.
func text(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func yamlIn(s string) map[string]any {
	if !strings.Contains(s, "\n") || strings.HasPrefix(s, "-----BEGIN") {
		return nil
	}
	var m map[string]any
	if err := yaml.Unmarshal([]byte(s), &m); err != nil {
		return nil
	}
	return m
}
