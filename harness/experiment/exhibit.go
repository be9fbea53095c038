package experiment

import (
	"errors"
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/scenarios"
)

// Exhibit is a published bug of a real release: the proof that Drydock finds such. The scenario runs on the bad release, where NO-GO is what it
// is for; Fixed runs it on the release next to it that has the fix, where anything but GO is a false alarm.
type Exhibit struct {
	Bug   string   `yaml:"bug"` // where it was reported, so that a reader can compare the words
	Bad   Releases `yaml:"bad"`
	Fixed Releases `yaml:"fixed"`
}

// Releases are the versions of an exhibit's cluster, as spec.cluster would have them.
type Releases struct {
	Version     string `yaml:"version"`
	EtcdVersion string `yaml:"etcdVersion"`
}

func (r Releases) String() string {
	var out []string
	if r.Version != "" {
		out = append(out, "Kubernetes "+r.Version)
	}
	if r.EtcdVersion != "" {
		out = append(out, "etcd "+r.EtcdVersion)
	}
	return strings.Join(out, ", ")
}

// on is the cluster with these releases.
func (r Releases) on(c Cluster) Cluster {
	c.Version, c.EtcdVersion = r.Version, r.EtcdVersion
	return c
}

// validate also resolves both releases: an exhibit whose fixed one is unknown proves half.
func (e *Exhibit) validate(s *Scenario) error {
	c := s.Spec.Cluster
	switch {
	case e.Bug == "":
		return errors.New("bug is missing: the address it was reported at")
	case e.Bad == Releases{} || e.Fixed == Releases{}:
		return errors.New("bad and fixed each need a version or an etcdVersion")
	case e.Bad == e.Fixed:
		return fmt.Errorf("bad and fixed are both %s", e.Bad)
	case c.Version != "" || c.EtcdVersion != "":
		return errors.New("spec.cluster takes no version and no etcdVersion beside an exhibit: bad and fixed name them")
	}
	for _, r := range []struct {
		field    string
		releases Releases
	}{{"bad", e.Bad}, {"fixed", e.Fixed}} {
		try := *s
		try.Spec.Cluster = r.releases.on(c)
		if _, err := try.Cells(); err != nil {
			return fmt.Errorf("%s: %w", r.field, err)
		}
	}
	return nil
}

// Fixed is the same scenario on the release with the fix. It has a name of its own, so that nobody takes its report for the bad one's.
func (s *Scenario) Fixed() (*Scenario, error) {
	e := s.Spec.Exhibit
	if e == nil {
		return nil, cluster.Usagef("%s is no exhibit: it names no fixed release to run on; exhibits: %s", s.Metadata.Name, strings.Join(scenarios.Exhibits(), ", "))
	}
	out := *s
	out.Metadata.Name += "-fixed"
	out.Spec.Cluster = e.Fixed.on(s.Spec.Cluster)
	return &out, nil
}

// header is what the plan says of the exhibit, from the cluster it will really have.
func (s *Scenario) header() []string {
	e := s.Spec.Exhibit
	if e == nil {
		return nil
	}
	if e.Fixed.on(s.Spec.Cluster) == s.Spec.Cluster {
		return []string{fmt.Sprintf("exhibit %s on the fixed release, %s: GO", e.Bug, e.Fixed)}
	}
	return []string{fmt.Sprintf("exhibit %s on the bad release, %s: NO-GO is what it is for; --fixed runs it on %s", e.Bug, e.Bad, e.Fixed)}
}
