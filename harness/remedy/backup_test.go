package remedy

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/wholefile"
)

func object(kind, name string, fields map[string]any) unstructured.Unstructured {
	o := map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": "default", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": map[string]any{"x": "y"}}
	for k, v := range fields {
		if m, ok := o[k].(map[string]any); ok {
			for kk, vv := range v.(map[string]any) {
				m[kk] = vv
			}
			continue
		}
		o[k] = v
	}
	return unstructured.Unstructured{Object: o}
}

func meta(key string, v any) map[string]any {
	return map[string]any{"metadata": map[string]any{key: v}}
}

// What others make is not to be applied: an owner would find it twice, and a cluster would take itself for another.
func TestWhatSomebodyMakesIsNotToBeApplied(t *testing.T) {
	owner := []any{map[string]any{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u"}}
	for name, c := range map[string]struct {
		kind string
		o    unstructured.Unstructured
		why  string
	}{
		"a person's ConfigMap":    {"ConfigMap", object("ConfigMap", "mine", nil), ""},
		"the cluster's CA":        {"ConfigMap", object("ConfigMap", "kube-root-ca.crt", nil), "which cluster"},
		"a pod of a ReplicaSet":   {"Pod", object("Pod", "p", meta("ownerReferences", owner)), "owner"},
		"a pod of nobody":         {"Pod", object("Pod", "p", nil), ""},
		"a Node":                  {"Node", object("Node", "n", nil), "machines"},
		"a lease":                 {"Lease.coordination.k8s.io", object("Lease", "l", nil), "lives"},
		"a person's Secret":       {"Secret", object("Secret", "s", map[string]any{"type": "Opaque"}), ""},
		"a token":                 {"Secret", object("Secret", "s", map[string]any{"type": "kubernetes.io/service-account-token"}), "opens this cluster"},
		"the API's Service":       {"Service", object("Service", "kubernetes", nil), "API server"},
		"endpoints of a Service":  {"Endpoints", object("Endpoints", "e", meta("labels", map[string]any{"endpoints.kubernetes.io/managed-by": "endpoint-controller"})), "controller"},
		"endpoints of a person's": {"Endpoints", object("Endpoints", "e", nil), ""},
		"one that goes":           {"ConfigMap", object("ConfigMap", "c", meta("deletionTimestamp", "2026-01-01T00:00:00Z")), "deleted"},
	} {
		why := leftOut(c.kind, &c.o)
		if (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s: %q; want %q", name, why, c.why)
		}
	}
}

func TestObjectsAreWrittenInTheTurnTheyAreAppliedAndReadableByTheirOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	secret := object("Secret", "s", map[string]any{"type": "Opaque", "data": map[string]any{"k": "dg=="}})
	service := object("Service", "svc", map[string]any{"spec": map[string]any{"clusterIP": "10.0.0.9", "clusterIPs": []any{"10.0.0.9"}, "type": "ClusterIP"}})
	headless := object("Service", "headless", map[string]any{"spec": map[string]any{"clusterIP": "None"}})
	counts, err := writeObjects(dir, map[string][]unstructured.Unstructured{
		"Secret": {secret}, "Service": {service, headless}, "Namespace": {object("Namespace", "default", nil)}, "Node": {object("Node", "n", nil)}, "Empty": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"objects/1/00-Namespace.yaml": 1, "objects/2/20-Secret.yaml": 1, "objects/2/50-Service.yaml": 2, "others/Node.yaml": 1}
	for file, n := range want {
		got, err := countObjects(filepath.Join(dir, file))
		if err != nil || got != n || counts[file] != n {
			t.Errorf("%s: %d of %d, counted %d, %v", file, got, n, counts[file], err)
		}
		if st, err := os.Stat(filepath.Join(dir, file)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, st.Mode(), err)
		}
	}
	if len(counts) != len(want) {
		t.Errorf("files %v", counts)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "objects/2/50-Service.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, not := range []string{"uid", "resourceVersion", "creationTimestamp", "status", "10.0.0.9"} {
		if strings.Contains(string(raw), not) {
			t.Errorf("%s is written:\n%s", not, raw)
		}
	}
	if !strings.Contains(string(raw), "clusterIP: None") {
		t.Errorf("a Service without an address got one:\n%s", raw)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("---\nkind: X\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := countObjects(filepath.Join(dir, "bad.yaml")); err == nil {
		t.Error("an object without a name was counted")
	}
}

// Without its last file a directory is no backup, and one that was changed is none any more.
func TestABackupIsWholeOrNone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	refused := func(says string) {
		t.Helper()
		err := plan.Refusal("it", projectPlace(dir))
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
	refused("")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	refused("")
	if err := os.WriteFile(filepath.Join(dir, "theirs"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("1 files or directories, theirs among them")
	sum, err := wholefile.Sum(filepath.Join(dir, "theirs"))
	keep := func(sums map[string]string) {
		t.Helper()
		if err := plan.WriteFile(filepath.Join(dir, backupContents), Contents{Cluster: "c", SHA256: sums}); err != nil {
			t.Fatal(err)
		}
	}
	keep(map[string]string{"theirs": sum})
	if _, noSnapshot := ReadBackup(dir); err != nil || noSnapshot == nil || !strings.Contains(noSnapshot.Error(), "tells of no snapshot") {
		t.Errorf("a backup of nothing: %v, %v", noSnapshot, err)
	}
	refused("2 files or directories, ")
	if err := os.WriteFile(filepath.Join(dir, backupSnapshot), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	keep(map[string]string{"theirs": sum, backupSnapshot: sum})
	refused("has the backup of c")
	if err := os.WriteFile(filepath.Join(dir, "theirs"), []byte("y"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBackup(dir); err == nil || !strings.Contains(err.Error(), "theirs is not the file that was saved") {
		t.Errorf("a changed file: %v", err)
	}
	r, err := New(Spec{Runbook: "backup"}, cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3})
	if err != nil {
		t.Fatal(err)
	}
	r.Dir, r.found = dir, &Diagnosis{}
	if err := (backup{r}).verify(context.Background()); err == nil {
		t.Error("a directory without a snapshot was verified")
	}
	if _, err := New(Spec{Runbook: "etcd-nospace", To: "x"}, r.Topology); err == nil || !strings.Contains(err.Error(), "the runbook saves nothing") {
		t.Errorf("a place for what is not saved: %v", err)
	}
}
