// Package scenarios holds the scenario files and their golden plans. What they mean is the business of harness/experiment.
package scenarios

import (
	"embed"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Names lists the embedded scenarios.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return out
}

// Read returns the file of an embedded scenario.
func Read(name string) ([]byte, error) { return files.ReadFile(name + ".yaml") }
