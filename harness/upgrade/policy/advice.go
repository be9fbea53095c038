package policy

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/plan"
)

// Advice finds the published defects that a path from, through and to versions meets on a cloud ("" for none). The version the
// cluster has now counts too: its components run until the last of them is replaced.
func Advice(p Path, cloud string) ([]plan.Finding, error) {
	issues, err := fixtures.KnownIssues()
	if err != nil {
		return nil, err
	}
	var out []plan.Finding
	for _, i := range issues {
		if i.Provider != "" && i.Provider != cloud {
			continue
		}
		for _, v := range append([]string{p.From}, p.Hops...) {
			hit, err := affected(i, v)
			if err != nil {
				return nil, err
			}
			if hit {
				out = append(out, plan.Finding{
					Check: "known issue " + i.ID, Severity: plan.Warning, What: fmt.Sprintf("%s is affected: %s", v, i.Title), Why: i.Symptom,
					Fix: fmt.Sprintf("prefer a version with the fix: %s (%s)", strings.Join(i.FixedIn, ", "), i.Link),
				})
				break
			}
		}
	}
	return out, nil
}

func affected(i fixtures.KnownIssue, v string) (bool, error) {
	at, err := version.ParseSemantic(v)
	if err != nil {
		return false, fmt.Errorf("known issue %s: %w", i.ID, err)
	}
	for _, r := range i.Affected {
		below, err := version.ParseSemantic(r.Below)
		if err != nil {
			return false, fmt.Errorf("known issue %s: %w", i.ID, err)
		}
		if !at.LessThan(below) {
			continue
		}
		if r.From == "" {
			return true, nil
		}
		from, err := version.ParseSemantic(r.From)
		if err != nil {
			return false, fmt.Errorf("known issue %s: %w", i.ID, err)
		}
		if at.AtLeast(from) {
			return true, nil
		}
	}
	return false, nil
}
