package standin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// resources are the groups and kinds that a client may ask for; it learns of them by asking.
func resources() map[string]any {
	one := func(name, kind string, namespaced bool) map[string]any {
		return map[string]any{"name": name, "kind": kind, "namespaced": namespaced, "singularName": "", "verbs": []string{"get", "list", "update", "delete"}}
	}
	eviction := one("pods/eviction", "Eviction", true)
	eviction["group"], eviction["version"] = "policy", "v1beta1"
	return map[string]any{
		"/version": map[string]any{"major": "1", "minor": "23"},
		"/api":     map[string]any{"kind": "APIVersions", "versions": []string{"v1"}},
		"/apis":    map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{}},
		"/api/v1":  map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": []any{one("nodes", "Node", false), one("pods", "Pod", true), eviction}},
	}
}

// ServeHTTP answers as an API server does that has nodes, leases and no pods. Without a quorum of etcd nothing is answered.
func (c *Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if found, ok := resources()[strings.TrimSuffix(r.URL.Path, "/")]; ok && c.answers() {
		reply(w, http.StatusOK, found)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.quorum() {
		refuse(w, http.StatusInternalServerError, "InternalError", "etcdserver: request timed out")
		return
	}
	c.settle()
	name, one := strings.CutPrefix(r.URL.Path, "/api/v1/nodes/")
	switch {
	case one:
		c.node(w, r, name)
	case r.URL.Path == "/api/v1/nodes" && r.Method == http.MethodGet:
		reply(w, http.StatusOK, c.list(r.URL.Query().Get("labelSelector")))
	case r.URL.Path == "/api/v1/pods" && r.Method == http.MethodGet:
		reply(w, http.StatusOK, map[string]any{"kind": "PodList", "apiVersion": "v1", "metadata": map[string]any{}, "items": []any{}})
	case strings.HasPrefix(r.URL.Path, leases):
		c.lease(w, r)
	default:
		refuse(w, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
	}
}

func (c *Cluster) answers() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.quorum()
}

// node answers a call about one.
func (c *Cluster) node(w http.ResponseWriter, r *http.Request, name string) {
	n := c.nodes[name]
	if n == nil || n.object == nil {
		refuse(w, http.StatusNotFound, "NotFound", fmt.Sprintf("nodes %q not found", name))
		return
	}
	switch r.Method {
	case http.MethodGet:
		reply(w, http.StatusOK, c.document(n))
	case http.MethodPut, http.MethodPatch:
		var sent map[string]any
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
			return
		}
		if r.Method == http.MethodPatch {
			n.object = merged(n.object, sent)
		} else {
			n.object["metadata"], n.object["spec"] = sent["metadata"], sent["spec"]
		}
		reply(w, http.StatusOK, c.document(n))
	case http.MethodDelete:
		n.object, n.beat, n.removed = nil, time.Time{}, n.Boot
		reply(w, http.StatusOK, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"})
	default:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method)
	}
}

// merged is an object with a patch put on it: what that says null of is gone. A strategic patch that names no list is the same.
func merged(object, patch map[string]any) map[string]any {
	out := maps.Clone(object)
	for k, v := range patch {
		if of, is := v.(map[string]any); is {
			was, _ := out[k].(map[string]any)
			v = merged(was, of)
		}
		if v == nil {
			delete(out, k)
			continue
		}
		if out == nil {
			out = map[string]any{}
		}
		out[k] = v
	}
	return out
}

// leases are what clients claim things by.
const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"

// lease answers a call about one: made by whoever comes first, and deleted only as what it was when it was read.
func (c *Cluster) lease(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		Metadata      map[string]any    `json:"metadata"`
		Spec          any               `json:"spec"`
		Preconditions map[string]string `json:"preconditions"`
	}
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil && !errors.Is(err, io.EOF) {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	name := strings.TrimPrefix(r.URL.Path[len(leases):], "/")
	if r.Method == http.MethodPost {
		name, _ = sent.Metadata["name"].(string)
	}
	there := c.leases[name]
	switch {
	case r.Method == http.MethodPost && there != nil:
		refuse(w, http.StatusConflict, "AlreadyExists", fmt.Sprintf("leases %q already exists", name))
	case r.Method == http.MethodPost:
		c.claims++
		sent.Metadata["uid"] = fmt.Sprintf("lease-%d", c.claims)
		c.leases[name] = map[string]any{"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": sent.Metadata, "spec": sent.Spec}
		reply(w, http.StatusCreated, c.leases[name])
	case there == nil:
		refuse(w, http.StatusNotFound, "NotFound", fmt.Sprintf("leases %q not found", name))
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, there)
	case r.Method == http.MethodDelete:
		if uid := there["metadata"].(map[string]any)["uid"]; sent.Preconditions["uid"] != "" && sent.Preconditions["uid"] != uid {
			refuse(w, http.StatusConflict, "Conflict", fmt.Sprintf("lease %q is another one by now: %s", name, uid))
			return
		}
		delete(c.leases, name)
		reply(w, http.StatusOK, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"})
	default:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method)
	}
}

// list are the nodes that have a label: KEY or KEY=VALUE; empty: all.
func (c *Cluster) list(selector string) map[string]any {
	key, value, exact := strings.Cut(selector, "=")
	items := []any{}
	for _, n := range c.nodes {
		if n.object == nil {
			continue
		}
		labels, _ := n.object["metadata"].(map[string]any)["labels"].(map[string]any)
		if has, ok := labels[key]; selector == "" || ok && (!exact || has == value) {
			items = append(items, c.document(n))
		}
	}
	slices.SortFunc(items, func(a, b any) int {
		return strings.Compare(fmt.Sprint(a.(map[string]any)["metadata"].(map[string]any)["name"]), fmt.Sprint(b.(map[string]any)["metadata"].(map[string]any)["name"]))
	})
	return map[string]any{"kind": "NodeList", "apiVersion": "v1", "metadata": map[string]any{}, "items": items}
}

// register is the Node that a kubelet makes of its machine.
func (n *node) register() map[string]any {
	labels := map[string]any{"kubernetes.io/hostname": n.Name, "kubernetes.io/os": "linux", "kubernetes.io/role": "agent"}
	spec := map[string]any{}
	if n.Master {
		labels["kubernetes.io/role"], labels["node-role.kubernetes.io/master"] = "master", ""
		spec["taints"] = []any{map[string]any{"key": "node-role.kubernetes.io/master", "value": "true", "effect": "NoSchedule"}}
	}
	return map[string]any{"metadata": map[string]any{"name": n.Name, "uid": fmt.Sprintf("%s-%d", n.Name, n.Boot), "labels": labels, "annotations": map[string]any{}}, "spec": spec}
}

// document is a Node as it is answered: with what its kubelet told last, and whether that is recent.
func (c *Cluster) document(n *node) map[string]any {
	state, reason := "True", "KubeletReady"
	if !c.ready(n) {
		state, reason = "Unknown", "NodeStatusUnknown"
	}
	return map[string]any{
		"kind": "Node", "apiVersion": "v1", "metadata": n.object["metadata"], "spec": n.object["spec"],
		"status": map[string]any{
			"conditions": []any{map[string]any{"type": "Ready", "status": state, "reason": reason, "lastHeartbeatTime": n.beat.UTC().Format(time.RFC3339)}},
			"nodeInfo":   map[string]any{"kubeletVersion": "v" + n.seen, "bootID": BootID(n.Name, n.of), "machineID": fmt.Sprintf("machine-%s-%d", n.Name, n.of)},
		},
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, reason, message string) {
	reply(w, status, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": status})
}
