package main

import (
	"fmt"
	"os"
	"strings"
)

// operation is a line of the table.
type operation struct {
	path, verb, codes, form, version string
	client, method                   string
	args                             []string

	again bool // the same call once more: an update instead of a create, a delete of what is gone
}

func (o operation) name() string { return o.client + "." + o.method }

func readTable(file string) ([]operation, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []operation
	for n, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 7 {
			return nil, fmt.Errorf("%s:%d: %d columns instead of 7", file, n+1, len(f))
		}
		at := strings.LastIndex(f[5], ".")
		o := operation{path: f[0], verb: f[1], codes: f[2], form: f[3], version: f[4], client: f[5][:at], method: f[5][at+1:]}
		if f[6] != "" {
			o.args = strings.Split(f[6], ",")
		}
		out = append(out, o)
	}
	return out, nil
}

// kind is the resource type of a path, with an action or a collection below it: Microsoft.Compute/disks/beginGetAccess.
func (o operation) kind() string {
	parts := strings.Split(strings.Trim(o.path, "/"), "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if strings.EqualFold(parts[i], "providers") && i+1 < len(parts) {
			parts = parts[i+1:]
			break
		}
	}
	if len(parts) > 2 && parts[0] == "subscriptions" {
		parts = parts[2:]
	}
	var out []string
	for _, p := range parts {
		if !strings.HasPrefix(p, "{") {
			out = append(out, p)
		}
	}
	return strings.Join(out, "/")
}
