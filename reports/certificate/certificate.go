// Package certificate makes a run's certificate: what exactly was tested, what came of it and what was not tested, chained to every byte of the run's
// directory. It is a value that follows from the evidence and nothing else, so that anybody can make it again and compare.
package certificate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// The files of a certificate in a run's directory.
const (
	Name          = "certificate.json"
	SignatureName = "certificate.json.sig"
)

// Schema names the shape; it changes when a field changes meaning.
const Schema = "drydock.dev/certificate/v1alpha1"

// Certificate is certificate.json. Its verdict is the run's: one of a run that ended NO-GO, or was cut off, says so.
type Certificate struct {
	Schema      string             `json:"schema"`
	Verdict     plan.Verdict       `json:"verdict"`
	Reasons     []string           `json:"reasons"` // why it is not go
	Scenario    string             `json:"scenario"`
	Provider    string             `json:"provider"`
	Seed        int64              `json:"seed"`
	Command     string             `json:"command"`
	Started     time.Time          `json:"started"`
	Seconds     float64            `json:"durationSeconds"`
	JudgedBy    plan.Program       `json:"judgedBy"`
	Tested      []plan.Fingerprint `json:"tested"` // one a cell: by what, where, which programs
	Clusters    []Cluster          `json:"clusters"`
	Host        *plan.Host         `json:"host"` // how it kept up; null: not watched
	Receipts    []Receipt          `json:"receipts"`
	Invariants  []Invariant        `json:"invariants"`
	Tolerance   *Tolerance         `json:"tolerance"` // null: no etcd was observed
	Unavailable []Unavailable      `json:"unavailable"`
	Coverage    []plan.Coverage    `json:"coverage"` // of steps by faults
	NotTested   []plan.NotTested   `json:"notTested"`
	Evidence    []File             `json:"evidence"`
	Reports     []File             `json:"reports"` // that were made of it
	Seal        string             `json:"seal"`    // SHA-256 of the last link and of all that stands before
}

// Cluster is what was tested, and from which versions it came to which.
type Cluster struct {
	Topology string            `json:"topology"`
	Versions map[string]string `json:"versions"` // at the end
	Changed  []Change          `json:"changed"`
}

// Change is a program whose version was another at the end.
type Change struct {
	Program string `json:"program"`
	From    string `json:"from"`
	To      string `json:"to"` // empty: it was not seen any more
}

// Receipt is what became of a fault.
type Receipt struct {
	ID       string   `json:"id"`
	Fault    string   `json:"fault"`
	Target   string   `json:"target"`
	Machines []string `json:"machines"`
	State    string   `json:"state"`
	Emulated []string `json:"emulated,omitempty"`
}

// Invariant is a check and its verdict.
type Invariant struct {
	Name    string       `json:"name"`
	When    string       `json:"when"`
	Verdict plan.Verdict `json:"verdict"`
}

// Tolerance is how many more members of etcd could have been lost at the least, and for how long none.
type Tolerance struct {
	Minimum        int     `json:"minimum"`
	SecondsAtZero  float64 `json:"secondsAtZero"`
	SecondsUnknown float64 `json:"secondsUnknown"`
}

// Unavailable is how long an endpoint gave no good answer at the longest.
type Unavailable struct {
	Endpoint string  `json:"endpoint"`
	Samples  int     `json:"samples"` // without any the rest says nothing
	Failures int     `json:"failures"`
	Seconds  float64 `json:"longestSeconds"`
}

// Of is the certificate of a result, as this build of Drydock has judged it, over the evidence. It has no seal yet.
func Of(r *plan.Result, by plan.Program, evidence []File) *Certificate {
	c := &Certificate{
		Schema: Schema, Verdict: r.Verdict, Reasons: orNone(r.Reasons), Scenario: r.Scenario, Provider: r.Provider, Seed: r.Seed, Command: r.Command,
		Started: r.Started, Seconds: r.DurationSeconds, JudgedBy: by, Tested: orNone(r.Fingerprints), Host: r.Host, Coverage: orNone(r.Coverage),
		NotTested: orNone(r.NotTested), Evidence: orNone(evidence), Reports: []File{},
		Clusters: []Cluster{}, Receipts: []Receipt{}, Invariants: []Invariant{}, Unavailable: []Unavailable{},
	}
	for _, x := range r.Cluster {
		own := Cluster{Topology: x.Topology, Versions: x.Versions, Changed: []Change{}}
		for _, program := range slices.Sorted(maps.Keys(x.From)) {
			own.Changed = append(own.Changed, Change{program, x.From[program], x.Versions[program]})
		}
		c.Clusters = append(c.Clusters, own)
	}
	for _, x := range r.Receipts {
		c.Receipts = append(c.Receipts, Receipt{x.ID, x.Fault, x.Target, x.Machines, x.State, x.Emulated})
	}
	for _, x := range r.Checks {
		c.Invariants = append(c.Invariants, Invariant{x.Name, x.When, x.Verdict})
	}
	if t := r.Tolerance; t.Observations > 0 {
		c.Tolerance = &Tolerance{t.Minimum, t.SecondsAtZero, t.SecondsUnknown}
	}
	for _, p := range r.Probes {
		c.Unavailable = append(c.Unavailable, Unavailable{p.Name, p.Samples, p.Failures, p.LongestGapSeconds})
	}
	return c
}

// orNone has an empty list written as one.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Sealed is the certificate over the reports as well.
func (c *Certificate) Sealed(reports []File) (*Certificate, error) {
	out := *c
	out.Reports, out.Seal = orNone(reports), ""
	raw, err := out.Encode()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte(last(out.Evidence, out.Reports)+"\n"), raw...))
	out.Seal = hex.EncodeToString(sum[:])
	return &out, nil
}

// Root is the last link of the evidence: who knows it knows every byte of it.
func (c *Certificate) Root() string { return last(c.Evidence) }

// Encode is the one way a certificate is written.
func (c *Certificate) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(c); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return b.Bytes(), nil
}

// Decode reads one back. What is not written as Encode writes it is none, so that each byte counts.
func Decode(raw []byte) (*Certificate, error) {
	var c Certificate
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if c.Schema != Schema {
		return nil, fmt.Errorf("certificate: it is of schema %q, this program reads %q", c.Schema, Schema)
	}
	again, err := c.Encode()
	if err != nil {
		return nil, err
	}
	if _, rest := d.Token(); !errors.Is(rest, io.EOF) || !bytes.Equal(raw, again) {
		return nil, errors.New("certificate: it is not written as Drydock writes it")
	}
	return &c, nil
}
