package cli

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/docs"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/provider"
)

var update = flag.Bool("update", false, "write docs/faults.md, and what is made of the code in docs/lab.md, anew")

const faultDoc = "../../docs/faults.md"

// TestFaultsAreDocumented: the table of faults and providers is made of the code, and is what the code says today.
func TestFaultsAreDocumented(t *testing.T) {
	want := faultTable()
	if *update {
		if err := os.WriteFile(faultDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(faultDoc)
	if err != nil || string(got) != want {
		t.Errorf("docs/faults.md is not what the code says (%v): go test ./harness/cli -run TestFaultsAreDocumented -update", err)
	}
}

const labDoc = "../../docs/lab.md"

// TestTheLabIsDocumented: what of a lab is real, emulated and missing is made of the code as well.
func TestTheLabIsDocumented(t *testing.T) {
	madeOfTheCode(t, labDoc, labTable())
}

// madeOfTheCode holds the part of a page that is between its two marks to what the code says, or writes it anew.
func madeOfTheCode(t *testing.T, file, table string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(got), docs.MadeOfTheCode)
	_, after, ends := strings.Cut(rest, docs.MadeSoFar)
	if !begins || !ends {
		t.Fatalf("%s has no place for what is made of the code", file)
	}
	want := before + docs.MadeOfTheCode + "\n\n" + table + "\n" + docs.MadeSoFar + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(got) != want {
		t.Errorf("%s is not what the code says: go test ./harness/cli -run %s -update", file, t.Name())
	}
}

// labTable is what the machines of a lab can do and how, by the capabilities that doctor tries, and what kubeadm and kubelets are told there.
func labTable() string {
	var b strings.Builder
	means := provider.Means("lab")
	b.WriteString("| `drydock doctor` calls it | in a lab | faults that need it |\n|---|---|---|\n")
	for _, c := range cluster.Capabilities() {
		how := state(fault.Kind{Needs: []cluster.Capability{c}}, means, func(word, why string) string { return word + ": " + strings.TrimPrefix(why, string(c)+": ") })
		var faults []string
		for _, k := range fault.List() {
			if slices.Contains(k.Needs, c) {
				faults = append(faults, "`"+k.Name+"`")
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c, how, strings.Join(faults, ", "))
	}
	p := (*lab.Lab)(nil).Profile()
	fmt.Fprintf(&b, "\nkubeadm leaves out %s, and asks of the machines none of its preflight checks (%s). Kubelets are told:\n\n| setting | value |\n|---|---|\n",
		strings.Join(p.SkipPhases, " and "), strings.Join(p.IgnorePreflight, ", "))
	for _, gate := range slices.Sorted(maps.Keys(p.KubeletGates)) {
		fmt.Fprintf(&b, "| feature gate %s | %v |\n", gate, p.KubeletGates[gate])
	}
	for _, k := range slices.Sorted(maps.Keys(p.Kubelet)) {
		fmt.Fprintf(&b, "| %s | %v |\n", k, p.Kubelet[k])
	}
	return b.String()
}

func faultTable() string {
	var b strings.Builder
	notes := map[string]int{} // a reason -> its number
	var reasons []string
	note := func(word, why string) string {
		if notes[why] == 0 {
			reasons = append(reasons, why)
			notes[why] = len(reasons)
		}
		return fmt.Sprintf("%s [%d]", word, notes[why])
	}
	b.WriteString("# Faults and providers\n\nMade of the code by `go test ./harness/cli -update`. *real*: it happens as its name says. *emulated*: something else stands for it, so that programs and peers\n" +
		"see the same, and the receipt says what. *some*: real on some machines, and why the others cannot. *missing*: the plan leaves it out, with the reason, and the run is INCONCLUSIVE.\n" +
		"What a host, a kernel or an inventory takes away besides, `drydock doctor` and `drydock plan NAME --provider NAME` tell by trying.\n\n| fault | what it does | takes, beside target and for |")
	for _, p := range provider.Names() {
		fmt.Fprintf(&b, " %s |", p)
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(provider.Names())) + "\n")
	for _, k := range fault.List() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |", k.Name, k.About, strings.Join(slices.Sorted(slices.Values(k.Takes)), ", "))
		for _, p := range provider.Names() {
			fmt.Fprintf(&b, " %s |", state(k, provider.Means(p), note))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, why := range reasons {
		fmt.Fprintf(&b, "%d. %s\n", i+1, why)
	}
	return b.String()
}

func state(k fault.Kind, m cluster.Means, note func(word, why string) string) string {
	if why := m.Never.Why(k.Needs...); why != "" {
		return note("missing", why)
	}
	if why := m.Only.Why(k.Needs...); why != "" {
		return note("some", why)
	}
	for _, c := range k.Needs {
		if how := m.Emulated[c]; how != "" {
			return note("emulated", how)
		}
	}
	return "real"
}
