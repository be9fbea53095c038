// Package driver is what the programs around real cloud providers have in common: a configuration that points them at a twin, and commands
// read from standard input, one a line, answered with one line of JSON each.
package driver

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Ready is what a driver needs of the twin's ready file.
type Ready struct{ Endpoint, Authority, Tenant, Subscription string }

// Provider is what can be asked of a cloud provider.
type Provider struct {
	Node    func(ctx context.Context, node string) (id string, err error) // the lookup that follows every event of a node or disk
	Disk    func(ctx context.Context, node, disk, uri string) error       // attaches
	Balance func(ctx context.Context, service string, nodes []string) error
}

// do carries out one command.
func (p *Provider) do(r Ready, group string, words []string) (string, error) {
	ctx := context.Background()
	switch {
	case len(words) == 2 && words[0] == "node":
		return p.Node(ctx, words[1])
	case len(words) == 3 && words[0] == "disk":
		uri := fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/disks/%s", r.Subscription, group, words[2])
		return "", p.Disk(ctx, words[1], words[2], uri)
	case len(words) > 2 && words[0] == "balance":
		return "", p.Balance(ctx, words[1], words[2:])
	default:
		return "", fmt.Errorf("command %q; known: node NAME, disk NODE DISK, balance SERVICE NODE…", strings.Join(words, " "))
	}
}

// Answer is one line of output.
type Answer struct {
	Command string  `json:"command"`
	Result  string  `json:"result,omitempty"`
	Error   string  `json:"error,omitempty"`
	Seconds float64 `json:"seconds"`
}

// Main reads the flags, lets open make a provider of the configuration, and answers commands until standard input ends. A line that
// begins with & is done beside the others. With `serve` as its first argument it runs as a component of a control plane instead. Module is the provider's,
// whose version is the component's.
func Main(module string, open func(config string) (*Provider, error)) {
	begin := func() error { return run(open) }
	if len(os.Args) > 1 && os.Args[1] == serveWord {
		begin = func() error { return serve(open, module, os.Args[2:]) }
	}
	if err := begin(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(open func(config string) (*Provider, error)) error {
	file := flag.String("ready-file", "", "the twin's ready file")
	group := flag.String("group", "g", "resource group")
	principal := flag.String("principal", "cloud-provider", "client id")
	tenant := flag.String("tenant", "", "tenant to ask the token service for (default the twin's)")
	flag.Parse()
	raw, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	var r Ready
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	if *tenant == "" {
		*tenant = r.Tenant
	}
	if err := environment(r, filepath.Dir(*file)); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"cloud": "AzureStackCloud", "tenantId": *tenant, "aadClientId": *principal, "aadClientSecret": "secret", "subscriptionId": r.Subscription,
		"resourceGroup": *group, "location": "westeurope", "vmType": "vmss", "vnetName": "net", "subnetName": "default", "securityGroupName": "nsg", "routeTableName": "routes",
		"primaryScaleSetName": "vmss-000", "loadBalancerSku": "standard", "useInstanceMetadata": false, "disableAzureStackCloud": true,
	})
	if err != nil {
		return err
	}
	provider, err := open(string(config))
	if err != nil {
		return err
	}
	var out sync.Mutex
	var beside sync.WaitGroup
	show := func(a Answer) {
		out.Lock()
		defer out.Unlock()
		_ = json.NewEncoder(os.Stdout).Encode(a)
	}
	show(Answer{Command: "open"})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		line, together := strings.CutPrefix(lines.Text(), "&")
		if together {
			beside.Go(func() { show(answer(provider, r, *group, line)) })
			continue
		}
		show(answer(provider, r, *group, line))
	}
	beside.Wait()
	return lines.Err()
}

func answer(p *Provider, r Ready, group, line string) Answer {
	a := Answer{Command: line}
	begun := time.Now()
	result, err := p.do(r, group, strings.Fields(line))
	a.Result, a.Seconds = result, time.Since(begun).Seconds()
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// environment writes the file that Azure's Go libraries learn a cloud's addresses from.
func environment(r Ready, dir string) error {
	raw, err := json.Marshal(map[string]any{
		"name": "AzureStackCloud", "managementPortalURL": r.Endpoint, "publishSettingsURL": r.Endpoint, "serviceManagementEndpoint": r.Endpoint, "resourceManagerEndpoint": r.Endpoint + "/",
		"activeDirectoryEndpoint": r.Authority + "/", "galleryEndpoint": r.Endpoint, "keyVaultEndpoint": r.Endpoint, "graphEndpoint": r.Endpoint, "storageEndpointSuffix": "core.example",
		"tokenAudience": "https://management.azure.com/", "resourceIdentifiers": map[string]any{"graph": r.Endpoint, "keyVault": r.Endpoint},
	})
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "environment.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return err
	}
	return os.Setenv("AZURE_ENVIRONMENT_FILEPATH", path)
}
