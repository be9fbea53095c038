package remediation

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

type fields = map[string]map[string]string

// excuse is a difference between a cluster and the one that has its backup that is as it should be. Object and field are whole matches; an object that is
// there on one side alone has the field "".
type excuse struct{ object, field, why string }

func (e excuse) covers(object, field string) bool {
	return regexp.MustCompile("^(?:"+e.object+")$").MatchString(object) && regexp.MustCompile("^(?:"+e.field+")$").MatchString(field)
}

// excusedWhenApplied are those where objects were applied one by one.
func excusedWhenApplied() []excuse {
	return []excuse{
		{"Service .*", `spec\.clusterIPs?`, "the API server gives it an address anew"},
	}
}

// excusedWhenRestored are those where a cluster on other machines goes on with the whole of another's etcd.
func excusedWhenRestored() []excuse {
	return []excuse{
		{"Node .*", `status\.bootID`, "the machine of that name is another one, which booted when it did"},
	}
}

// differ says of every object, field by field, what is not the same and has no excuse.
func differ(before, after fields, excuses []excuse) (out []string) {
	excused := func(object, field string) bool {
		return slices.ContainsFunc(excuses, func(e excuse) bool { return e.covers(object, field) })
	}
	objects := maps.Clone(before)
	maps.Copy(objects, after)
	for object := range objects {
		was, had := before[object]
		is, has := after[object]
		if had != has {
			if !excused(object, "") {
				out = append(out, map[bool]string{true: object + " is gone", false: object + " was not there"}[had])
			}
			continue
		}
		names := maps.Clone(was)
		maps.Copy(names, is)
		for f := range names {
			if was[f] != is[f] && !excused(object, f) {
				out = append(out, fmt.Sprintf("%s: %s was %s and is %s", object, f, was[f], is[f]))
			}
		}
	}
	slices.Sort(out)
	return out
}

// toApply names the objects of a backup that a person can apply, as differ does.
func toApply(dir string) (names []string) {
	GinkgoHelper()
	files, err := filepath.Glob(filepath.Join(dir, "objects", "*", "*.yaml"))
	Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		raw, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		d := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
		for {
			var o metav1.PartialObjectMetadata
			err := d.Decode(&o)
			if errors.Is(err, io.EOF) {
				break
			}
			Expect(err).NotTo(HaveOccurred())
			name := o.GroupVersionKind().GroupKind().String() + " " // KIND.GROUP
			if o.Namespace != "" {
				name += o.Namespace + "/"
			}
			names = append(names, name+o.Name)
		}
	}
	return names
}

// only are the objects of some names, as far as they are there.
func only(all fields, names []string) fields {
	out := maps.Clone(all)
	maps.DeleteFunc(out, func(name string, _ map[string]string) bool { return !slices.Contains(names, name) })
	return out
}

var _ = Describe("a comparison of all objects", Label("tier: quick"), func() {
	It("names what is lost, changed and new, and excuses what is said and no more", func() {
		before := fields{"ConfigMap a/b": {"data.k": `"v"`}, "Service a/s": {"spec.clusterIP": `"10.0.0.1"`, "spec.type": `"ClusterIP"`}, "Secret a/gone": {}}
		after := fields{"ConfigMap a/b": {"data.k": `"w"`}, "Service a/s": {"spec.clusterIP": `"10.0.0.2"`, "spec.type": `"NodePort"`}, "Role.rbac.authorization.k8s.io a/new": {}}
		Expect(differ(before, before, nil)).To(BeEmpty())
		Expect(differ(before, after, excusedWhenApplied())).To(Equal([]string{
			`ConfigMap a/b: data.k was "v" and is "w"`, "Role.rbac.authorization.k8s.io a/new was not there", "Secret a/gone is gone", `Service a/s: spec.type was "ClusterIP" and is "NodePort"`,
		}))
		Expect(differ(before, after, nil)).To(ContainElement(ContainSubstring("spec.clusterIP was")))
	})

	It("has a reason for every excuse, and none for everything", func() {
		for _, e := range slices.Concat(excusedWhenApplied(), excusedWhenRestored()) {
			Expect(e.why).NotTo(BeEmpty(), "%v", e)
			Expect(e.covers("ConfigMap shop/settings", "data.greeting")).To(BeFalseBecause("%v excuses everything", e))
			Expect(e.covers("ConfigMap shop/settings", "")).To(BeFalseBecause("%v excuses the loss of anything", e))
			Expect(strings.HasPrefix(e.object, ".*")).To(BeFalseBecause("%v names no kind", e))
		}
	})
})
