package cluster

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// EtcdFlags are the flags of its members that a topology may set, each with what it is good for. The list is closed: what Drydock sets itself, or what would
// have it look in another place, is not for a scenario to change.
func EtcdFlags() map[string]string {
	return map[string]string{
		"snapshot-count":                         "after so many entries a member takes a snapshot of its state and may drop its log",
		"experimental-snapshot-catchup-entries":  "the same of snapshot-catchup-entries before 3.6",
		"snapshot-catchup-entries":               "so many entries of the log are kept behind a snapshot, for who is slow (3.6)",
		"backend-batch-interval":                 "so often a member commits to its database what it has applied",
		"backend-batch-limit":                    "or after so many operations",
		"experimental-compaction-batch-limit":    "so many revisions a compaction deletes before it commits",
		"experimental-compaction-sleep-interval": "and so long it rests then",
	}
}

// flagValue reports whether it is a number or a duration: nothing that could be another flag.
func flagValue(v string) bool { return regexp.MustCompile(`^\d+(ms|s)?$`).MatchString(v) }

// checkEtcdFlags says what is wrong with a topology's flags.
func (t Topology) checkEtcdFlags() []string {
	var bad []string
	known := EtcdFlags()
	for _, name := range slices.Sorted(maps.Keys(t.EtcdFlags)) {
		v := t.EtcdFlags[name]
		switch {
		case known[name] == "":
			bad = append(bad, fmt.Sprintf("etcdFlags: %q is unknown; known: %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", ")))
		case !flagValue(v):
			bad = append(bad, fmt.Sprintf("etcdFlags: %s is %q; it is a number, or a number of ms or s", name, v))
		}
	}
	if len(t.EtcdFlags) > 0 && t.Etcd != EtcdOnly {
		bad = append(bad, "etcdFlags is for etcd: only: elsewhere kubeadm makes its members")
	}
	return bad
}

// EtcdArgs are the flags of members as a command line has them.
func (t Topology) EtcdArgs() string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(t.EtcdFlags)) {
		fmt.Fprintf(&out, " --%s=%s", name, t.EtcdFlags[name])
	}
	return out.String()
}
