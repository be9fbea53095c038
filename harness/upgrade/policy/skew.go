package policy

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"drydock.dev/drydock/harness/observe"
)

// skewRule bounds a component by the API servers it may talk to: never newer, and at most Older minors older.
type skewRule struct {
	component string
	older     func(server, self *version.Version) int
	newer     int
}

// skewRules are those of SkewPolicy. kubectl is no part of a cluster; its rule is here for `drydock kubectl` and for completeness.
func skewRules() []skewRule {
	one := func(*version.Version, *version.Version) int { return 1 }
	// Three since v1.28; a kubelet or kube-proxy before v1.25 was never made to work with a server three ahead.
	node := func(server, self *version.Version) int {
		if server.LessThan(version.MustParseSemantic("v1.28.0")) || self.LessThan(version.MustParseSemantic("v1.25.0")) {
			return 2
		}
		return 3
	}
	return []skewRule{
		{component: observe.ControllerManager, older: one},
		{component: observe.Scheduler, older: one},
		{component: observe.CloudControllerManager, older: one},
		{component: observe.Kubelet, older: node},
		{component: observe.KubeProxy, older: node},
		{component: observe.Kubectl, older: one, newer: 1},
	}
}

// Violation is one broken rule.
type Violation struct {
	Offender string // kubelet on worker-1
	Message  string
}

// Skew lists the rules that components, as they were observed at one instant, break. Components without a version (one that is down
// breaks no rule) are left out.
func Skew(components []observe.Component) []Violation {
	var servers []observe.Component
	for _, c := range components {
		if c.Name == observe.APIServer && c.Version != "" {
			servers = append(servers, c)
		}
	}
	var out []Violation
	if v := serversApart(servers); v != nil {
		out = append(out, *v)
	}
	for _, c := range components {
		for _, rule := range skewRules() {
			if rule.component != c.Name || c.Version == "" {
				continue
			}
			for _, s := range mayTalkTo(c, servers) {
				if v := rule.judge(c, s); v != nil {
					out = append(out, *v)
					break
				}
			}
		}
	}
	return out
}

// mayTalkTo: a component that was pointed at its own machine's API server talks to no other (kubeadm does that for controller-manager, scheduler
// and, since v1.33, the kubelets of control planes); anybody else may be sent to each of them by the balancer.
func mayTalkTo(c observe.Component, servers []observe.Component) []observe.Component {
	if c.Local {
		if i := slices.IndexFunc(servers, func(s observe.Component) bool { return s.Machine == c.Machine }); i >= 0 {
			return servers[i : i+1]
		}
		return nil
	}
	return servers
}

func serversApart(servers []observe.Component) *Violation {
	for _, a := range servers {
		for _, b := range servers {
			va, vb := minor(a), minor(b)
			if va != nil && vb != nil && apart(va, vb) > 1 {
				return &Violation{
					Offender: a.String(),
					Message: fmt.Sprintf("%s is %s while %s is %s: API servers may differ by one minor version (%s)",
						a, a.Version, b, b.Version, SkewPolicy),
				}
			}
		}
	}
	return nil
}

func (r skewRule) judge(c, server observe.Component) *Violation {
	self, s := minor(c), minor(server)
	if self == nil || s == nil {
		return nil
	}
	ahead := int(self.Minor()) - int(s.Minor())
	older := r.older(s, self)
	switch {
	case ahead > r.newer && r.newer == 0:
		return &Violation{c.String(), fmt.Sprintf("%s is %s while %s is %s: it may never be newer (%s)", c, c.Version, server, server.Version, SkewPolicy)}
	case ahead > r.newer, -ahead > older:
		return &Violation{c.String(), fmt.Sprintf("%s is %s while %s is %s: at most %d minor versions apart are allowed (%s)",
			c, c.Version, server, server.Version, max(older, r.newer), SkewPolicy)}
	default:
		return nil
	}
}

// minor parses a version; nil for one that is none. The policy speaks of minor versions only.
func minor(c observe.Component) *version.Version {
	v, err := version.ParseSemantic(strings.TrimSpace(c.Version))
	if err != nil {
		return nil
	}
	return v
}

func apart(a, b *version.Version) int {
	d := int(a.Minor()) - int(b.Minor())
	return max(d, -d)
}
