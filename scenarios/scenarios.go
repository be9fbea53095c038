// Package scenarios holds the scenario files and their golden plans. What they mean is the business of harness/experiment.
package scenarios

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed *.yaml museum/*.yaml
var files embed.FS

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
