package upgrade

import (
	"errors"
	"fmt"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade/policy"
)

// begun is the directory of an upgrade that has come so far.
func begun(t *testing.T, path policy.Path, to string, ended bool) string {
	t.Helper()
	dir := t.TempDir()
	c, err := plan.TakeClaim(dir, Ended)
	if err != nil {
		t.Fatal(err)
	}
	u := &Upgrade{Spec: Spec{To: to, Via: path.Hops[:len(path.Hops)-1]}, Path: path}
	if err := c.Keep(u.Begun()); err != nil {
		t.Fatal(err)
	}
	if ended {
		err = c.Finish()
	}
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What is left of an upgrade that was interrupted, and what a new one is told still: that there is nothing to do.
func TestWhatIsLeftOfAnUpgrade(t *testing.T) {
	const old, mid, last = "v1.34.10", "v1.35.4", "v1.36.3"
	one, two := policy.Path{From: mid, Hops: []string{last}}, policy.Path{From: old, Hops: []string{mid, last}}
	for name, c := range map[string]struct {
		dir  string
		spec Spec
		at   string
		from string // and the path from there; empty: refused
		hops []string
	}{
		"nothing was begun":                          {t.TempDir(), Spec{To: last}, last, "", nil},
		"nothing was begun, and there is work":       {t.TempDir(), Spec{To: last}, mid, mid, []string{last}},
		"some machines are left":                     {begun(t, one, last, false), Spec{To: last}, mid, mid, []string{last}},
		"its end is left":                            {begun(t, one, last, false), Spec{To: last}, last, mid, []string{last}},
		"nothing is left":                            {begun(t, one, last, true), Spec{To: last}, last, "", nil},
		"another version was asked for":              {begun(t, one, mid, false), Spec{To: last}, last, "", nil},
		"the first of two hops is left":              {begun(t, two, last, false), Spec{To: last, Via: []string{mid}}, old, old, []string{mid, last}},
		"the second of two hops is left":             {begun(t, two, last, false), Spec{To: last, Via: []string{mid}}, mid, mid, []string{last}},
		"the end of two hops is left":                {begun(t, two, last, false), Spec{To: last, Via: []string{mid}}, last, mid, []string{last}},
		"nobody asked to begin in the middle":        {t.TempDir(), Spec{To: last, Via: []string{mid}}, mid, "", nil},
		"the end of the same version again":          {begun(t, policy.Path{From: last, Hops: []string{last}}, last, false), Spec{To: last, Force: true}, last, last, []string{last}},
		"half a downgrade is seen as all of it":      {begun(t, policy.Path{From: last, Hops: []string{mid}}, mid, false), Spec{To: mid, Force: true}, mid, last, []string{mid}},
		"somebody is silent":                         {begun(t, one, last, false), Spec{To: last}, "", mid, []string{last}},
		"silent, and nothing was begun":              {t.TempDir(), Spec{To: last}, "", "", nil},
		"silent, and two hops may be left":           {begun(t, two, last, false), Spec{To: last, Via: []string{mid}}, "", "", nil},
		"silent, and another version was asked for":  {begun(t, one, mid, false), Spec{To: last}, "", "", nil},
		"kept by a Drydock that kept the spec alone": {begun(t, policy.Path{Hops: []string{last}}, last, false), Spec{To: last}, last, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var silent error
			if c.at == "" {
				silent = errors.New("somebody is silent")
			}
			spec, from, err := Resumed(c.dir, c.spec, c.at, silent)
			if silent != nil && c.from == "" {
				if !errors.Is(err, silent) {
					t.Errorf("from %s: %v", from, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			u, err := New(spec, from, cluster.Topology{})
			var usage *cluster.UsageError
			if c.from == "" {
				if !errors.As(err, &usage) {
					t.Errorf("it is not refused: from %s, %v", from, err)
				}
				return
			}
			if err != nil || u.Path.From != c.from || fmt.Sprint(u.Path.Hops) != fmt.Sprint(c.hops) {
				t.Errorf("from %s: %+v, %v", from, u, err)
			}
		})
	}
}
