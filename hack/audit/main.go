// Audit tells of a program built by Go what it is made of:
//
//	audit sbom FILE       its bill of materials, CycloneDX as JSON, on standard output
//	audit licences FILE   the licence of each module that is linked into it; exit code 1 where one is not among those that may be
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/licenseclassifier/v2"
	"github.com/google/licenseclassifier/v2/assets"
)

func main() {
	if len(os.Args) != 3 || os.Args[1] != "sbom" && os.Args[1] != "licences" {
		_, _ = fmt.Fprintln(os.Stderr, "usage: audit sbom|licences FILE")
		os.Exit(2)
	}
	do := bill
	if os.Args[1] == "licences" {
		do = licences
	}
	if err := do(os.Args[2], os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "audit:", err)
		os.Exit(1)
	}
}

// allowed are the licences that what Drydock links may have: one may pass it on in a binary by keeping a notice, or, of the MPL, whoever gets the binary can
// get the unchanged files as well, by the module's name in the bill of materials.
func allowed() []string {
	return []string{"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MPL-2.0", "CC0-1.0", "0BSD", "Unlicense", "Zlib"}
}

// part is a module of the program.
type part struct {
	debug.Module
	licences []string // SPDX ids; none: none was found
}

// parts are the modules that are linked, with their licences; the first is the program's own.
func parts(file string) ([]part, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, err
	}
	classifier, err := assets.DefaultClassifier()
	if err != nil {
		return nil, err
	}
	out := []part{{Module: info.Main}}
	if out[0].Version == "" {
		out[0].Version = "(devel)"
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		found, err := licencesOf(classifier, m)
		if err != nil {
			return nil, err
		}
		out = append(out, part{*m, found})
	}
	return out, nil
}

// licencesOf reads the files of the module in Go's cache that are called as licences are.
func licencesOf(c *classifier.Classifier, m *debug.Module) ([]string, error) {
	raw, err := exec.Command("go", "mod", "download", "-json", m.Path+"@"+m.Version).Output()
	if err != nil {
		return nil, fmt.Errorf("%s@%s: %w", m.Path, m.Version, err)
	}
	var at struct{ Dir string }
	if err := json.Unmarshal(raw, &at); err != nil {
		return nil, fmt.Errorf("%s: %w", m.Path, err)
	}
	files, err := os.ReadDir(at.Dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range files {
		name := strings.ToUpper(f.Name())
		if f.IsDir() || strings.HasSuffix(name, ".DOCS") || // of texts that are not linked
			!strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") && !strings.HasPrefix(name, "UNLICENSE") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(at.Dir, f.Name()))
		if err != nil {
			return nil, err
		}
		for _, match := range c.Match(text).Matches {
			if match.MatchType == "License" {
				out = append(out, match.Name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func licences(file string, to io.Writer) error {
	all, err := parts(file)
	if err != nil {
		return err
	}
	var wrong []string
	for _, p := range all[1:] {
		_, _ = fmt.Fprintf(to, "%-70s %s\n", p.Path+"@"+p.Version, strings.Join(p.licences, ", "))
		bad := slices.DeleteFunc(slices.Clone(p.licences), func(l string) bool { return slices.Contains(allowed(), l) })
		switch {
		case len(p.licences) == 0:
			wrong = append(wrong, p.Path+": no licence was found")
		case len(bad) > 0:
			wrong = append(wrong, p.Path+": "+strings.Join(bad, ", "))
		}
	}
	if len(all) == 1 {
		wrong = append(wrong, file+" has no modules: was it built by go build?")
	}
	if len(wrong) > 0 {
		return fmt.Errorf("not among the licences that may be linked (%s):\n  %s", strings.Join(allowed(), ", "), strings.Join(wrong, "\n  "))
	}
	_, _ = fmt.Fprintf(to, "%d modules\n", len(all)-1)
	return nil
}

// bill has no time and no serial number: the same program has the same bill.
func bill(file string, to io.Writer) error {
	all, err := parts(file)
	if err != nil {
		return err
	}
	components := make([]cdx.Component, 0, len(all))
	var refs []string
	for _, p := range all {
		c := cdx.Component{Type: cdx.ComponentTypeLibrary, BOMRef: p.Path + "@" + p.Version, Name: p.Path, Version: p.Version, PackageURL: "pkg:golang/" + p.Path + "@" + p.Version}
		if len(p.licences) > 0 {
			var choices cdx.Licenses
			for _, l := range p.licences {
				choices = append(choices, cdx.LicenseChoice{License: &cdx.License{ID: l}})
			}
			c.Licenses = &choices
		}
		components, refs = append(components, c), append(refs, c.BOMRef)
	}
	program := components[0]
	program.Type = cdx.ComponentTypeApplication
	bom := cdx.NewBOM()
	rest := components[1:]
	below := refs[1:]
	bom.Metadata = &cdx.Metadata{Component: &program}
	bom.Components = &rest
	bom.Dependencies = &[]cdx.Dependency{{Ref: refs[0], Dependencies: &below}}
	return cdx.NewBOMEncoder(to, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}
