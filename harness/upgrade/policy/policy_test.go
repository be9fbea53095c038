package policy

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/release"
)

var known = []string{"v3.4.30", "v3.5.21", "v3.6.16", "v1.33.13", "v1.34.1", "v1.34.4", "v1.35.4", "v1.36.3"}

func TestPathTo(t *testing.T) {
	for name, c := range map[string]struct {
		product  string // empty: Kubernetes
		from, to string
		via      []string
		force    bool
		want     string // the path, or a part of the refusal
		refused  bool
		givesUp  string
	}{
		"next minor":             {from: "v1.35.4", to: "v1.36.3", want: "v1.35.4 → v1.36.3"},
		"newer patch":            {from: "v1.34.1", to: "v1.34.4", want: "v1.34.1 → v1.34.4"},
		"from an unknown patch":  {from: "v1.35.0", to: "v1.36.3", want: "v1.35.0 → v1.36.3"},
		"two minors":             {from: "v1.34.4", to: "v1.36.3", refused: true, want: "2 minor versions ahead of v1.34.4, and one is upgraded at a time; go by way of v1.35.4"},
		"two minors by way":      {from: "v1.34.4", to: "v1.36.3", via: []string{"v1.35.4"}, want: "v1.34.4 → v1.35.4 → v1.36.3"},
		"two minors, forced":     {from: "v1.34.4", to: "v1.36.3", force: true, refused: true, want: KubeadmPolicy},
		"a gap in the known":     {from: "v1.31.0", to: "v1.33.13", refused: true, want: "no v1.32 is known"},
		"same":                   {from: "v1.36.3", to: "v1.36.3", refused: true, want: "at v1.36.3 already"},
		"same, forced":           {from: "v1.36.3", to: "v1.36.3", force: true, want: "v1.36.3 → v1.36.3", givesUp: "again"},
		"older minor":            {from: "v1.36.3", to: "v1.35.4", refused: true, want: "older than"},
		"older patch":            {from: "v1.34.4", to: "v1.34.1", refused: true, want: "older than"},
		"older minor, forced":    {from: "v1.36.3", to: "v1.35.4", force: true, want: "v1.36.3 → v1.35.4", givesUp: "downgrade"},
		"two older, forced":      {from: "v1.36.3", to: "v1.34.4", force: true, refused: true, want: "not even --force"},
		"unknown":                {from: "v1.35.4", to: "v1.40.0", refused: true, want: `unknown version "v1.40.0"; known: `},
		"unknown way":            {from: "v1.35.4", to: "v1.36.3", via: []string{"v1.35.9"}, refused: true, want: `unknown version "v1.35.9"`},
		"a way that leads back":  {from: "v1.35.4", to: "v1.36.3", via: []string{"v1.34.4"}, refused: true, want: "older"},
		"not a version":          {from: "latest", to: "v1.36.3", refused: true, want: `"latest" is no version`},
		"another major":          {from: "v2.35.4", to: "v1.36.3", force: true, refused: true, want: "changes the major version"},
		"prerelease to release":  {from: "v1.36.3-rc.1", to: "v1.36.3", want: "v1.36.3-rc.1 → v1.36.3"},
		"release to same's next": {from: "v1.34.1", to: "v1.35.4", want: "v1.34.1 → v1.35.4"},
		"etcd, next minor":       {product: release.Etcd, from: "v3.5.21", to: "v3.6.16", want: "v3.5.21 → v3.6.16"},
		"etcd, older":            {product: release.Etcd, from: "v3.6.16", to: "v3.5.21", refused: true, want: EtcdPolicy},
		"etcd, older, forced":    {product: release.Etcd, from: "v3.6.16", to: "v3.5.21", force: true, want: "v3.6.16 → v3.5.21", givesUp: "newer version alone"},
		"etcd, older patch":      {product: release.Etcd, from: "v3.5.22", to: "v3.5.21", force: true, want: "v3.5.22 → v3.5.21", givesUp: "downgrade"},
		"etcd, before it could":  {product: release.Etcd, from: "v3.5.21", to: "v3.4.30", force: true, refused: true, want: "from v3.6 on"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := PathTo(cmp.Or(c.product, release.Kubernetes), c.from, c.to, c.via, known, c.force)
			if c.refused {
				var usage *cluster.UsageError
				if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("error %v, want a refusal with %q", err, c.want)
				}
				return
			}
			if err != nil || p.String() != c.want {
				t.Fatalf("path %s, %v; want %s", p, err, c.want)
			}
			if got := strings.Join(p.GivesUp, "; "); (c.givesUp == "") != (got == "") || !strings.Contains(got, c.givesUp) {
				t.Fatalf("gives up %q, want %q", got, c.givesUp)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	paths, err := Targets("v1.34.1", known)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range paths {
		got = append(got, p.String())
	}
	want := "v1.34.1 → v1.34.4, v1.34.1 → v1.35.4, v1.34.1 → v1.35.4 → v1.36.3"
	if strings.Join(got, ", ") != want {
		t.Fatalf("targets %q, want %q", got, want)
	}
}

func at(name, machine, version string) observe.Component {
	return observe.Component{Name: name, Machine: machine, Version: version}
}

func local(c observe.Component) observe.Component {
	c.Local = true
	return c
}

func TestSkew(t *testing.T) {
	api := func(v string) observe.Component { return at(observe.APIServer, "control-plane-1", v) }
	for name, c := range map[string]struct {
		components []observe.Component
		want       string // empty: no violation
	}{
		"all the same":                  {[]observe.Component{api("v1.35.4"), at(observe.Kubelet, "w", "v1.35.4")}, ""},
		"API servers one apart":         {[]observe.Component{api("v1.35.4"), at(observe.APIServer, "b", "v1.36.3")}, ""},
		"API servers two apart":         {[]observe.Component{api("v1.34.4"), at(observe.APIServer, "b", "v1.36.3")}, "may differ by one minor"},
		"controller-manager one older":  {[]observe.Component{api("v1.36.3"), at(observe.ControllerManager, "b", "v1.35.4")}, ""},
		"controller-manager two older":  {[]observe.Component{api("v1.36.3"), at(observe.ControllerManager, "b", "v1.34.4")}, "kube-controller-manager on b is v1.34.4"},
		"controller-manager newer":      {[]observe.Component{api("v1.35.4"), at(observe.ControllerManager, "b", "v1.36.3")}, "never be newer"},
		"local controller-manager":      {[]observe.Component{api("v1.35.4"), at(observe.APIServer, "b", "v1.36.3"), local(at(observe.ControllerManager, "b", "v1.36.3"))}, ""},
		"local, its server is older":    {[]observe.Component{api("v1.36.3"), at(observe.APIServer, "b", "v1.35.4"), local(at(observe.ControllerManager, "b", "v1.36.3"))}, "never be newer"},
		"scheduler newer":               {[]observe.Component{api("v1.35.4"), at(observe.Scheduler, "b", "v1.36.3")}, "kube-scheduler on b is v1.36.3 while kube-apiserver on control-plane-1 is v1.35.4"},
		"cloud-controller two older":    {[]observe.Component{api("v1.36.3"), at(observe.CloudControllerManager, "b", "v1.34.4")}, "cloud-controller-manager"},
		"kubelet three older":           {[]observe.Component{api("v1.36.3"), at(observe.Kubelet, "w", "v1.33.1")}, ""},
		"kubelet four older":            {[]observe.Component{api("v1.36.3"), at(observe.Kubelet, "w", "v1.32.1")}, "at most 3"},
		"kubelet newer":                 {[]observe.Component{api("v1.35.4"), at(observe.Kubelet, "w", "v1.36.3")}, "kubelet on w is v1.36.3 while kube-apiserver on control-plane-1 is v1.35.4: it may never be newer"},
		"kubelet newer than the oldest": {[]observe.Component{api("v1.35.4"), at(observe.APIServer, "b", "v1.36.3"), at(observe.Kubelet, "w", "v1.36.3")}, "never be newer"},
		"a newer patch is no skew":      {[]observe.Component{api("v1.35.4"), at(observe.Kubelet, "w", "v1.35.9")}, ""},
		"two older before v1.28":        {[]observe.Component{api("v1.27.1"), at(observe.Kubelet, "w", "v1.25.1")}, ""},
		"three older before v1.28":      {[]observe.Component{api("v1.27.1"), at(observe.Kubelet, "w", "v1.24.1")}, "at most 2"},
		"three older at v1.28":          {[]observe.Component{api("v1.28.0"), at(observe.Kubelet, "w", "v1.25.1")}, ""},
		"kube-proxy three older":        {[]observe.Component{api("v1.36.3"), at(observe.KubeProxy, "w", "v1.33.1")}, ""},
		"kube-proxy newer":              {[]observe.Component{api("v1.35.4"), at(observe.KubeProxy, "w", "v1.36.3")}, "kube-proxy"},
		"kubectl one newer":             {[]observe.Component{api("v1.35.4"), at(observe.Kubectl, "u", "v1.36.3")}, ""},
		"kubectl two newer":             {[]observe.Component{api("v1.34.4"), at(observe.Kubectl, "u", "v1.36.3")}, "kubectl"},
		"kubectl two older":             {[]observe.Component{api("v1.36.3"), at(observe.Kubectl, "u", "v1.34.3")}, "kubectl"},
		"who does not answer":           {[]observe.Component{api("v1.35.4"), at(observe.Kubelet, "w", "")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := Skew(c.components)
			if c.want == "" {
				if len(got) > 0 {
					t.Fatalf("violations %v", got)
				}
				return
			}
			if len(got) == 0 || !strings.Contains(got[0].Message, c.want) || !strings.Contains(got[0].Message, SkewPolicy) {
				t.Fatalf("violations %v, want one with %q and its source", got, c.want)
			}
		})
	}
}

func TestAdvice(t *testing.T) {
	for name, c := range map[string]struct {
		from, to, cloud string
		want            []string
	}{
		"not on Azure":                 {"v1.17.1", "v1.18.0", "", nil},
		"new versions have none":       {"v1.35.4", "v1.36.3", "azure", nil},
		"the DNS label":                {"v1.16.6", "v1.16.9", "azure", []string{"#87127"}},
		"just fixed":                   {"v1.15.12", "v1.16.9", "azure", nil},
		"Standard back ends and calls": {"v1.18.0", "v1.18.2", "azure", []string{"#89336", "scale-set API calls"}},
		"the target counts":            {"v1.17.5", "v1.18.0", "azure", []string{"#89336"}},
		"the inconsistent cache":       {"v1.15.8", "v1.15.11", "azure", []string{"#89025", "#88151"}},
		"before caching":               {"v1.9.1", "v1.9.4", "azure", []string{"#58770", "#59746", "#59255", "#60691"}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := Advice(Path{From: c.from, Hops: []string{c.to}}, c.cloud)
			if err != nil {
				t.Fatal(err)
			}
			all := ""
			for _, f := range found {
				all += f.Check + "; "
			}
			for _, w := range c.want {
				if !strings.Contains(all, w) {
					t.Errorf("%q lacks %q", all, w)
				}
			}
			if len(c.want) == 0 && len(found) > 0 && c.cloud == "" {
				t.Errorf("found %q", all)
			}
			if name == "just fixed" && len(found) > 0 {
				t.Errorf("found %q", all)
			}
		})
	}
}

// TestAdviceOfEtcd: a bad pair is told by the step from one to the other, with what to do instead, and neither of its versions alone nor another pair is.
func TestAdviceOfEtcd(t *testing.T) {
	for name, c := range map[string]struct {
		path   Path
		want   []string // issues, in the table's order
		blocks bool
	}{
		"the bad pair":         {Path{From: "v3.5.19", Hops: []string{"v3.6.4"}}, []string{"#19557", "#20967"}, true},
		"its first release":    {Path{From: "v3.5.1", Hops: []string{"v3.6.4"}}, []string{"#19557", "#20967"}, true},
		"from before it":       {Path{From: "v3.5.0", Hops: []string{"v3.6.4"}}, []string{"#20967"}, false},
		"handed on":            {Path{From: "v3.5.20", Hops: []string{"v3.6.4"}}, []string{"#20793", "#20967"}, false},
		"as it should be":      {Path{From: "v3.5.26", Hops: []string{"v3.6.4"}}, nil, false},
		"by way of the mended": {Path{From: "v3.5.19", Hops: []string{"v3.5.26", "v3.6.4"}}, nil, false},
		"by way of another":    {Path{From: "v3.5.18", Hops: []string{"v3.5.19", "v3.6.4"}}, []string{"#19557", "#20967"}, true},
		"a patch":              {Path{From: "v3.5.19", Hops: []string{"v3.5.20"}}, nil, false},
		"down":                 {Path{From: "v3.6.4", Hops: []string{"v3.5.19"}}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.path.Product = release.Etcd
			found, err := Advice(c.path, "")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			blocks := false
			for _, f := range found {
				got = append(got, f.Check[strings.Index(f.Check, "#"):])
				blocks = blocks || f.Blocks()
				if !strings.Contains(f.Fix, "v3.5.26") || !strings.Contains(f.What, "→") {
					t.Errorf("%+v does not say between which versions, or what to do", f)
				}
			}
			if !slices.Equal(got, c.want) || blocks != c.blocks {
				t.Errorf("%v, blocks %t; want %v, %t", got, blocks, c.want, c.blocks)
			}
		})
	}
	if found, err := Advice(Path{From: "v3.5.19", Hops: []string{"v3.6.4"}}, ""); err != nil || len(found) > 0 {
		t.Errorf("etcd's issues are told of Kubernetes: %v, %v", found, err)
	}
}
