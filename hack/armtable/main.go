// Command armtable writes down what Azure's own Go SDK calls and accepts: one line an operation, read from the source of its clients by go/ast.
// Nobody here wrote what it reads, so the twin can be held against it.
//
//	cd hack/armtable && go run . -out ../../fixtures/arm/operations.tsv -bodies ../../fixtures/arm/models.txt -clients calls/clients.go
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// sdk is where the modules are, all of them pinned by go.mod.
const sdk = "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/"

// packages are the clients whose operations are in the table.
func packages() []string {
	return []string{
		"authorization/armauthorization/v2",
		"compute/armcompute/v7",
		"keyvault/armkeyvault",
		"msi/armmsi",
		"network/armnetwork/v9",
		"privatedns/armprivatedns",
		"resources/armdeployments",
		"resources/armfeatures",
		"resources/armlocks",
		"resources/armresources/v3",
		"resources/armsubscriptions",
		"storage/armstorage/v2",
	}
}

// absent are those that the module proxy did not have when this was written.
func absent() []string {
	return []string{"resources/armmanagedapplications", "resources/armpolicy"}
}

func main() {
	out := flag.String("out", "", "the table; empty: standard output")
	sent := flag.String("bodies", "", "the other table, of the documents that are sent; empty: nowhere")
	clients := flag.String("clients", "", "where to write the Go source that makes every client by its name; empty: nowhere")
	flag.Parse()
	if err := run(*out, *sent, *clients); err != nil {
		fmt.Fprintln(os.Stderr, "armtable:", err)
		os.Exit(1)
	}
}

func run(out, sent, clients string) error {
	var all []*source
	for _, p := range packages() {
		s, err := find(p)
		if err != nil {
			return err
		}
		if err := s.read(); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		all = append(all, s)
	}
	if clients != "" {
		made, err := constructors(all)
		if err != nil {
			return err
		}
		if err := os.WriteFile(clients, made, 0o644); err != nil {
			return err
		}
	}
	if sent != "" {
		if err := os.WriteFile(sent, bodies(all), 0o644); err != nil {
			return err
		}
	}
	if out == "" {
		_, err := os.Stdout.Write(table(all))
		return err
	}
	return os.WriteFile(out, table(all), 0o644)
}

// find asks the go command where a package lies and of which version it is.
func find(path string) (*source, error) {
	cmd := exec.Command("go", "list", "-json=Dir,Name,Module", sdk+path)
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w", path, err)
	}
	var p struct {
		Dir, Name string
		Module    struct{ Version string }
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("go list %s: %w", path, err)
	}
	return &source{path: path, name: p.Name, dir: p.Dir, version: p.Module.Version}, nil
}

// table is the file: its head says what it was read from, and its lines are sorted.
func table(all []*source) []byte {
	var b bytes.Buffer
	b.WriteString("# What Azure's Go SDK calls, and which answers it takes; written by hack/armtable from the source of these modules:\n")
	var lines []string
	for _, s := range all {
		fmt.Fprintf(&b, "#\t%s %s\t%d operations\n", s.path, s.version, len(s.operations))
		for _, o := range s.operations {
			lines = append(lines, o.line(s.name))
		}
	}
	fmt.Fprintf(&b, "# Not to be had from the module proxy, so not in it: %s.\n", strings.Join(absent(), ", "))
	b.WriteString("# path, verb, codes, form (now, page, or lro with the final state's way), api-version, method, arguments ({path}, ?query, !header, =body's type)\n")
	slices.Sort(lines)
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	return b.Bytes()
}
