package remedy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// The directories of a backup's objects: what a person can apply, file after file as their names sort, and what is there to be read only. What is to be
// applied is in two, since kubectl has to know a kind before it reads an object of it.
const (
	toApply = "objects"
	atFirst = toApply + "/1" // namespaces and kinds
	then    = toApply + "/2"
	toRead  = "others"
)

// leftOut says why an object is not to be applied: somebody makes it of another one, or it says who a cluster or a machine is. Empty: it is to be.
func leftOut(kind string, u *unstructured.Unstructured) string {
	name := u.GetNamespace() + "/" + u.GetName()
	switch {
	case u.GetDeletionTimestamp() != nil:
		return "it is being deleted"
	case len(u.GetOwnerReferences()) > 0:
		return "its owner makes it"
	}
	switch kind {
	case "Node", "CSINode.storage.k8s.io", "VolumeAttachment.storage.k8s.io", "CSIStorageCapacity.storage.k8s.io", "ResourceSlice.resource.k8s.io":
		return "it tells of machines"
	case "Lease.coordination.k8s.io", "LeaseCandidate.coordination.k8s.io":
		return "it says who lives"
	case "EndpointSlice.discovery.k8s.io", "ControllerRevision.apps", "IPAddress.networking.k8s.io", "StorageVersion.internal.apiserver.k8s.io", "ServiceCIDR.networking.k8s.io":
		return "a controller makes it"
	case "Endpoints":
		if u.GetLabels()["endpoints.kubernetes.io/managed-by"] != "" || name == "default/kubernetes" {
			return "a controller makes it"
		}
	case "Service":
		if name == "default/kubernetes" {
			return "the API server makes it"
		}
	case "APIService.apiregistration.k8s.io":
		if u.GetLabels()["kube-aggregator.kubernetes.io/automanaged"] != "" {
			return "the API server makes it"
		}
	case "ConfigMap":
		identity := []string{"kube-public/cluster-info", "kube-system/extension-apiserver-authentication", "kube-system/kubeadm-config", "kube-system/kube-apiserver-legacy-service-account-token-tracking"}
		if u.GetName() == "kube-root-ca.crt" || slices.Contains(identity, name) {
			return "it says which cluster it is"
		}
	case "Secret":
		typ, _, _ := unstructured.NestedString(u.Object, "type")
		if typ == string(corev1.SecretTypeBootstrapToken) || typ == string(corev1.SecretTypeServiceAccountToken) || name == "kube-system/kubeadm-certs" {
			return "it opens this cluster and no other"
		}
	}
	return ""
}

// cleaned takes from an object what the server or a controller has put there: whoever applies it has that put there anew.
func cleaned(kind string, u unstructured.Unstructured) map[string]any {
	o := u.DeepCopy().Object
	drop := [][]string{{"status"}, {"metadata", "annotations", corev1.LastAppliedConfigAnnotation}}
	for _, f := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "ownerReferences"} {
		drop = append(drop, []string{"metadata", f})
	}
	switch kind {
	case "Service":
		if ip, _, _ := unstructured.NestedString(o, "spec", "clusterIP"); ip != corev1.ClusterIPNone {
			drop = append(drop, []string{"spec", "clusterIP"}, []string{"spec", "clusterIPs"})
		}
	case "ServiceAccount":
		drop = append(drop, []string{"secrets"})
	case "Pod":
		drop = append(drop, []string{"spec", "nodeName"})
	case "PersistentVolume":
		drop = append(drop, []string{"spec", "claimRef", "uid"}, []string{"spec", "claimRef", "resourceVersion"})
	case "Job.batch":
		if manual, _, _ := unstructured.NestedBool(o, "spec", "manualSelector"); !manual {
			drop = append(drop, []string{"spec", "selector"})
			for _, l := range []string{"controller-uid", "batch.kubernetes.io/controller-uid"} {
				drop = append(drop, []string{"metadata", "labels", l}, []string{"spec", "template", "metadata", "labels", l})
			}
		}
	}
	for _, path := range drop {
		unstructured.RemoveNestedField(o, path...)
	}
	return o
}

// turn is when a kind is applied: what others are in or of comes first, and what may keep others out comes last.
func turn(kind string) int {
	name, _, _ := strings.Cut(kind, ".")
	switch name {
	case "Namespace":
		return 0
	case "CustomResourceDefinition":
		return 10
	case "ServiceAccount", "Secret", "ConfigMap", "PersistentVolume", "PersistentVolumeClaim", "StorageClass", "PriorityClass", "RuntimeClass", "IngressClass", "LimitRange":
		return 20
	case "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding":
		return 30
	case "APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ResourceQuota":
		return 90
	}
	return 50
}

// applied is the file of a kind's objects that can be.
func applied(kind string) string {
	n, dir := turn(kind), then
	if n < 20 {
		dir = atFirst
	}
	return filepath.Join(dir, fmt.Sprintf("%02d-%s.yaml", n, kind))
}

// writeObjects writes a file for each kind into the two directories below dir, and counts what is in them. Nobody but their owner can read them: there are
// secrets among them.
func writeObjects(dir string, kinds map[string][]unstructured.Unstructured) (counts map[string]int, err error) {
	counts = map[string]int{}
	for kind, items := range kinds {
		var apply, read []map[string]any
		slices.SortFunc(items, func(a, b unstructured.Unstructured) int {
			return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
		})
		for i := range items {
			if leftOut(kind, &items[i]) == "" {
				apply = append(apply, cleaned(kind, items[i]))
			} else {
				read = append(read, items[i].Object)
			}
		}
		for file, objects := range map[string][]map[string]any{
			applied(kind): apply, filepath.Join(toRead, kind+".yaml"): read,
		} {
			if len(objects) == 0 {
				continue
			}
			if err := writeYAML(filepath.Join(dir, file), objects); err != nil {
				return nil, err
			}
			counts[file] = len(objects)
		}
	}
	return counts, nil
}

func writeYAML(file string, objects []map[string]any) error {
	var b bytes.Buffer
	for _, o := range objects {
		raw, err := yaml.Marshal(o)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		b.WriteString("---\n")
		b.Write(raw)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// countObjects reads a file back, and says what is in it that cannot be applied.
func countObjects(file string) (n int, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	d := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
	for {
		var o metav1.PartialObjectMetadata
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, fmt.Errorf("%s: %w", file, err)
		}
		if o.Kind == "" || o.APIVersion == "" || o.Name == "" {
			return n, fmt.Errorf("%s: object %d has kind %q, version %q and name %q", file, n+1, o.Kind, o.APIVersion, o.Name)
		}
		n++
	}
}
