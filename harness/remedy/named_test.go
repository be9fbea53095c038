package remedy

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// named are the ways in which a runbook is named to somebody: in what a finding says to do, in documents and in scenarios. Every name has a dash, but where a scenario has it.
var named = regexp.MustCompile(`(?:[Rr]unbooks? |runbook: |drydock remedy |remedy", ")"?` + "`?" + `([a-z]+(?:-[a-z]+)+)\b`)

var inScenario = regexp.MustCompile(`remedy: \{runbook: ([a-z-]+)`)

// Whoever is told to use a runbook must find it, and each has a scenario in which it is used.
func TestEveryRunbookThatIsNamedExists(t *testing.T) {
	var known []string
	for _, b := range Runbooks() {
		known = append(known, b.Name)
	}
	seen := map[string][]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"bin", "hack", "node_modules"}, d.Name())) {
			return filepath.SkipDir
		}
		if !slices.Contains([]string{".go", ".md", ".yaml", ".plan"}, filepath.Ext(path)) {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, way := range []*regexp.Regexp{named, inScenario} {
			for _, m := range way.FindAllStringSubmatch(string(raw), -1) {
				seen[m[1]] = append(seen[m[1]], path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, where := range seen {
		if !slices.Contains(known, name) {
			t.Errorf("%v name the runbook %q, and there is none; known: %s", where, name, strings.Join(known, ", "))
		}
	}
	for _, name := range known {
		if !slices.ContainsFunc(seen[name], func(path string) bool { return strings.HasSuffix(path, ".yaml") }) {
			t.Errorf("no scenario has the runbook %s", name)
		}
	}
}

// A runbook that did no more than look has mended nothing, whatever was well afterwards: which of its steps only look is said by them.
func TestEveryRunbookLooksAndMends(t *testing.T) {
	for _, b := range Runbooks() {
		spec := Spec{Runbook: b.Name}
		if b.Images {
			spec.Images = map[string]string{"ccm": "v2"}
		}
		r, err := New(spec, stacked(3))
		if err != nil {
			t.Fatal(err)
		}
		looks, mends := 0, 0
		for _, s := range r.Steps() {
			_, does, _ := strings.Cut(s.Name, "/")
			name, _, _ := strings.Cut(does, "-")
			should := slices.Contains([]string{"diagnose", "gate", "cordon", "uncordon", "ready", "clean", "prove", "await", "watch"}, name) || name == "verify" && !b.Saves
			if s.Looks != should {
				t.Errorf("%s: looks is %t", s.Name, s.Looks)
			}
			if s.Looks {
				looks++
			} else {
				mends++
			}
		}
		if looks == 0 || mends == 0 {
			t.Errorf("%s: %d steps look, and %d mend", b.Name, looks, mends)
		}
	}
}
