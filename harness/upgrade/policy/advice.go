package policy

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
)

// Advice finds the published defects of its product that a path from, through and to versions meets on a cloud ("" for none). The version the
// cluster has now counts too: its components run until the last of them is replaced.
func Advice(p Path, cloud string) ([]plan.Finding, error) {
	issues, err := fixtures.KnownIssues()
	if err != nil {
		return nil, err
	}
	var out []plan.Finding
	for _, i := range issues {
		if cmp.Or(i.Product, release.Kubernetes) != cmp.Or(p.Product, release.Kubernetes) || i.Provider != "" && i.Provider != cloud {
			continue
		}
		what, err := meets(i, p)
		if err != nil {
			return nil, fmt.Errorf("known issue %s: %w", i.ID, err)
		}
		if what == "" {
			continue
		}
		f := plan.Finding{
			Check: "known issue " + i.ID, Severity: plan.Warning, What: fmt.Sprintf("%s: %s", what, i.Title), Why: i.Symptom,
			Fix: fmt.Sprintf("%s (%s)", cmp.Or(i.Advice, "prefer a version with the fix: "+strings.Join(i.FixedIn, ", ")), i.Link),
		}
		if i.Blocks {
			f.Severity = plan.Blocker
		}
		out = append(out, f)
	}
	return out, nil
}

// meets says which version, or which step from one to the next, of the path meets the issue; empty: none.
func meets(i fixtures.KnownIssue, p Path) (string, error) {
	versions := append([]string{p.From}, p.Hops...)
	for at, v := range versions {
		hit, err := within(v, i.Affected)
		switch {
		case err != nil:
			return "", err
		case !hit:
		case len(i.To) == 0:
			return v + " is affected", nil
		case at+1 < len(versions):
			next := versions[at+1]
			if hit, err = within(next, i.To); err != nil || hit {
				return v + " → " + next, err
			}
		}
	}
	return "", nil
}

// within reports whether a version lies in one of the ranges.
func within(v string, ranges []fixtures.VersionRange) (bool, error) {
	at, err := version.ParseSemantic(v)
	if err != nil {
		return false, err
	}
	for _, r := range ranges {
		below, err := version.ParseSemantic(r.Below)
		if err != nil {
			return false, err
		}
		if !at.LessThan(below) {
			continue
		}
		if r.From == "" {
			return true, nil
		}
		from, err := version.ParseSemantic(r.From)
		if err != nil {
			return false, err
		}
		if at.AtLeast(from) {
			return true, nil
		}
	}
	return false, nil
}
