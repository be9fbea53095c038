package plan

import (
	"fmt"
	"os"
	"runtime/debug"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/wholefile"
)

// Fingerprint is what exactly one cell of a run has tested, by what and where. It is told before anything is broken.
type Fingerprint struct {
	Cell     string           `json:"cell,omitempty"`
	Scenario Source           `json:"scenario"`
	Drydock  Program          `json:"drydock"` // that made the run
	Host     cluster.Computer `json:"host"`
	// Of a cell with a cluster:
	Topology *cluster.Topology `json:"topology,omitempty"`
	Profile  *cluster.Profile  `json:"profile,omitempty"`  // what its machines were like
	Lacks    cluster.Lacks     `json:"lacks,omitempty"`    // what they could not do, and why
	Programs map[string]string `json:"programs,omitempty"` // "kubernetes v1.35.4 kubelet" -> SHA-256; what is missing the provider does not tell
}

// Source is the file that a scenario was read from.
type Source struct {
	Name string `json:"name"`
	Sum  string `json:"sha256"`
}

// Program is a build of Drydock.
type Program struct {
	Version  string `json:"version"` // of the module; (devel): it was built from a checkout
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // the checkout was not as the revision has it
	Go       string `json:"go"`
	Sum      string `json:"sha256"` // of the program's file
}

// String names the build in a few words.
func (p Program) String() string {
	const short = 12
	out := p.Version
	if p.Revision != "" {
		out += ", revision " + p.Revision[:min(short, len(p.Revision))]
	}
	if p.Modified {
		out += " with changes"
	}
	if p.Go != "" {
		out += ", " + p.Go
	}
	return fmt.Sprintf("%s, sha256 %s", out, p.Sum[:min(short, len(p.Sum))])
}

// ThisProgram is the build that runs.
func ThisProgram() (Program, error) {
	var p Program
	if b, ok := debug.ReadBuildInfo(); ok {
		p.Version, p.Go = b.Main.Version, b.GoVersion
		for _, s := range b.Settings {
			switch s.Key {
			case "vcs.revision":
				p.Revision = s.Value
			case "vcs.modified":
				p.Modified = s.Value == "true"
			}
		}
	}
	path, err := os.Executable()
	if err != nil {
		return p, fmt.Errorf("where is this program? %w", err)
	}
	if p.Sum, err = wholefile.Sum(path); err != nil {
		return p, fmt.Errorf("the checksum of this program: %w", err)
	}
	return p, nil
}

// Coverage is in which steps a kind of fault was seen to hold, of those it could have struck in.
type Coverage struct {
	Cell    string   `json:"cell,omitempty"`
	Fault   string   `json:"fault"`
	Reached []string `json:"reached"` // "in STEP", or "before STEP" where it held between two
	Never   []string `json:"never"`   // names of steps that it did not hold in
}
