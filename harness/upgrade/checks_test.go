package upgrade

import (
	"testing"

	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

func at(name, machine, version string) observe.Component {
	return observe.Component{Name: name, Machine: machine, Version: version}
}

func TestSkewCheckNeedsData(t *testing.T) {
	for name, c := range map[string]struct {
		components []observe.Component
		want       plan.Verdict
	}{
		"nothing":         {nil, plan.Unknown},
		"nobody answered": {[]observe.Component{at(observe.Kubelet, "w", "")}, plan.Unknown},
		"fine":            {[]observe.Component{at(observe.APIServer, "c", "v1.35.4")}, plan.Pass},
		"one moment":      {[]observe.Component{at(observe.APIServer, "c", "v1.35.4"), at(observe.Kubelet, "w", "v1.36.3")}, plan.Fail},
	} {
		r := &health.Record{Observations: []observe.Observation{{}, {Components: c.components}, {}}}
		if v, said := versionSkew(r, nil, health.Params{}); v != c.want {
			t.Errorf("%s: %s (%s), want %s", name, v, said, c.want)
		}
	}
}
