package upgrade

import (
	"fmt"

	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade/policy"
)

// Checks are those that need the version policy.
func Checks() []health.CheckKind {
	return []health.CheckKind{
		{Name: "versionSkew", When: "always", About: "no component is ever outside the version skew policy", Decide: versionSkew, Lasting: true},
	}
}

// versionSkew looks at every observation, not at the end only.
func versionSkew(r *health.Record, _ *health.Window, _ health.Params) (plan.Verdict, string) {
	seen, versions := 0, map[string]bool{}
	for _, o := range r.Observations {
		for _, c := range o.Components {
			if c.Version != "" {
				seen++
				versions[c.Version] = true
			}
		}
		if v := policy.Skew(o.Components); len(v) > 0 {
			return plan.Fail, fmt.Sprintf("at %s %s", o.Time.Format("15:04:05.0"), v[0].Message)
		}
	}
	if seen == 0 {
		return plan.Unknown, "no component ever told its version"
	}
	return plan.Pass, fmt.Sprintf("held at %d readings of components in %d versions", seen, len(versions))
}

// Residue is where an upgrade leaves things.
func Residue() observe.Residue {
	return observe.Residue{Files: []string{kubeadm.BackupPattern, SavedDir + "/*"}, Annotation: PausedReplicas}
}
