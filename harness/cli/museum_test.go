package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/scenarios"
)

const readme = "../../README.md"

// TestTheMuseumIsInTheREADME: its table is made of the exhibits and of what they showed (hack/museum.sh), and of nothing that is written by hand.
func TestTheMuseumIsInTheREADME(t *testing.T) {
	madeOfTheCode(t, readme, museumTable(t))
}

func museumTable(t *testing.T) string {
	t.Helper()
	exhibits, err := loadExhibits(nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := describeExhibits(exhibits)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| bug | what happens | bad | found | fixed | GO | a run takes | what says so |\n|---|---|---|---|---|---|---|---|\n")
	for _, x := range all {
		found, good, takes := x.rates()
		product, _, _ := strings.Cut(x.Name, "-")
		number := path.Base(x.Bug)
		var says []string
		for _, name := range slices.Sorted(maps.Keys(x.Finds)) {
			says = append(says, fmt.Sprintf("%s: “%s”", name, strings.Join(x.Finds[name], "”, “")))
		}
		fmt.Fprintf(&b, "| [%s#%s](%s) | %s | %s | %s | %s | %s | %s | %s |\n", product, number, x.Bug, x.About, x.Bad, found, x.Fixed, good, takes, strings.Join(says, "; "))
	}
	return b.String()
}

// TestWhatIsMeasuredIsAnExhibits: of the releases that it runs on now; what was measured of others is measured again, or goes. And each exhibit is run by some tier.
func TestWhatIsMeasuredIsAnExhibits(t *testing.T) {
	measured, err := scenarios.Museum()
	if err != nil {
		t.Fatal(err)
	}
	exhibits, err := loadExhibits(nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := describeExhibits(exhibits)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range all {
		if tier := x.Labels["tier"]; tier != "quick" && tier != "museum" { // make test runs the one, the nightly run the other (docs/museum.md)
			t.Errorf("%s is of the tier %q: no run of the suites would have it", x.Name, tier)
		}
		if x.Showed != nil {
			delete(measured, x.Name)
		}
	}
	for name, m := range measured {
		t.Errorf("scenarios/museum.json: %s on %s and %s is no exhibit", name, m.Bad.Releases, m.Fixed.Releases)
	}
}

// TestTheMuseumIsListed: each exhibit with both releases, also for machines.
func TestTheMuseumIsListed(t *testing.T) {
	exhibits, err := loadExhibits([]string{"etcd-20340", "museum/etcd-21640"})
	if err != nil {
		t.Fatal(err)
	}
	var text, raw strings.Builder
	if err := listMuseum(&text, exhibits, false); err != nil || !strings.Contains(text.String(), "etcd v3.6.3") || !strings.Contains(text.String(), "etcd v3.6.11") {
		t.Errorf("%s, %v", text.String(), err)
	}
	if err := listMuseum(&raw, exhibits, true); err != nil {
		t.Fatal(err)
	}
	var all []exhibited
	if err := json.Unmarshal([]byte(raw.String()), &all); err != nil || len(all) != 2 || all[1].Fixed != "etcd v3.6.11" || len(all[0].Finds) == 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestRatesOfAnotherTextAreSaidToBe: a scenario that has changed since it was measured is measured again, or its rates say so.
func TestRatesOfAnotherTextAreSaidToBe(t *testing.T) {
	ten := scenarios.Rates{Runs: 10, AsMeant: 10, Took: []int{5}}
	for older, want := range map[bool]string{false: "10 of 10", true: "10 of 10, before the scenario changed"} {
		if found, good, _ := (exhibited{Showed: &scenarios.Shown{Bad: ten, Fixed: ten}, Older: older}).rates(); found != want || good != want {
			t.Errorf("older %v: %q, %q", older, found, good)
		}
	}
	raw, err := scenarios.Read("museum/etcd-21640")
	if err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(mine, append(raw, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	exhibits, err := loadExhibits([]string{"etcd-21640", mine})
	if err != nil {
		t.Fatal(err)
	}
	all, err := describeExhibits(exhibits)
	if err != nil || len(all) != 2 || all[0].Showed == nil || all[0].Showed.Scenario == "" || all[1].Showed == nil || !all[1].Older {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestTheWorstOfTheMuseumCounts: a wrong run is worse than one that showed nothing, and no run is no success.
func TestTheWorstOfTheMuseumCounts(t *testing.T) {
	good, unknown, wrong := scenarios.Rates{Runs: 2, AsMeant: 2}, scenarios.Rates{Runs: 2, AsMeant: 1, Inconclusive: 1}, scenarios.Rates{Runs: 2, AsMeant: 1}
	for want, s := range map[int][]scenarios.Shown{
		exitGo:           {{Bad: good, Fixed: good}},
		exitInconclusive: {{Bad: unknown, Fixed: good}, {Bad: good}},
		exitNoGo:         {{Bad: unknown, Fixed: wrong}, {Bad: wrong, Fixed: good}},
	} {
		for _, one := range s {
			if got := museumCode(map[string]scenarios.Shown{"good": {Bad: good, Fixed: good}, "one": one}); got != want {
				t.Errorf("%+v: %d, want %d", one, got, want)
			}
		}
	}
}

// TestExhibitsAreToldApart: of two that have one name the runs of one would be counted as the other's.
func TestExhibitsAreToldApart(t *testing.T) {
	for names, told := range map[string]bool{"etcd-18089 etcd-20340": true, "etcd-18089 etcd-18089": false, "etcd-18089 etcd-20340 museum/etcd-18089": false} {
		exhibits, err := loadExhibits(strings.Fields(names))
		if err != nil {
			t.Fatal(err)
		}
		if err := apart(exhibits); told != (err == nil) || err != nil && !errors.As(err, new(*cluster.UsageError)) {
			t.Errorf("%s: %v", names, err)
		}
	}
}
