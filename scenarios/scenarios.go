// Package scenarios holds the scenario files and their golden plans. What they mean is the business of harness/experiment.
package scenarios

import (
	"bytes"
	"embed"
	"encoding/json"
	"io/fs"
	"strings"
)

//go:embed *.yaml museum/*.yaml
var files embed.FS

//go:embed schema.json
var schema []byte

//go:embed measured.json
var measured []byte

//go:embed museum.json
var shown []byte

//go:embed new.tmpl
var begin string

// Schema is the JSON schema of scenarios, for editors. It is made of the types that harness/experiment decodes them into.
func Schema() []byte { return bytes.Clone(schema) }

// Names lists the embedded scenarios, the exhibits of the museum last.
func Names() []string { return append(named("*.yaml"), Exhibits()...) }

// Exhibits lists the scenarios that show a published bug of a real release.
func Exhibits() []string { return named("museum/*.yaml") }

func named(pattern string) []string {
	entries, err := fs.Glob(files, pattern)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e, ".yaml"))
	}
	return out
}

// Read returns the file of an embedded scenario.
func Read(name string) ([]byte, error) { return files.ReadFile(name + ".yaml") }

// Measured is what a run of a scenario took.
type Measured struct {
	Seconds int `json:"seconds"` // from its beginning to the verdict, with a cluster that was booted from a saved one where there was one
	Cores   int `json:"cores"`   // of the host
}

// Takes is what the embedded scenarios took when they were measured last, by name without directory (hack/measured.sh); others were not.
func Takes() (map[string]Measured, error) {
	var all map[string]Measured
	err := json.Unmarshal(measured, &all)
	return all, err
}

// Shown is what the runs of an exhibit showed on both releases.
type Shown struct {
	Scenario string `json:"scenario"` // sha256 of its file as it was run: of another text the rates are another's
	Bad      Rates  `json:"bad"`
	Fixed    Rates  `json:"fixed"`
	Cores    int    `json:"cores"` // of the host
}

// Rates are those of one release.
type Rates struct {
	Releases     string `json:"releases"`
	Runs         int    `json:"runs"`
	AsMeant      int    `json:"asMeant"`      // on the bad release it was NO-GO by the exhibit's checks and in their words, on the fixed one GO
	Inconclusive int    `json:"inconclusive"` // whatever is neither was wrong
	Took         []int  `json:"took"`         // seconds of each of those as meant, from the beginning to the verdict, the shortest first
}

// Typical is what half of the runs took, at the most; 0: none was as meant.
func (r Rates) Typical() int {
	if len(r.Took) == 0 {
		return 0
	}
	return r.Took[len(r.Took)/2]
}

// Museum is what the exhibits showed when they were measured last, by name (hack/museum.sh); others were not.
func Museum() (map[string]Shown, error) {
	var all map[string]Shown
	err := json.Unmarshal(shown, &all)
	return all, err
}

// New is a scenario to begin with, with comments. Its schema is the file that its first line leads editors to.
func New(name, schema string) string {
	return strings.NewReplacer("{{name}}", name, "{{schema}}", schema).Replace(begin)
}
