// Package aksengine runs AKS Engine v0.79.0, the unmodified command line, as a user does, and says what it did to the cluster, whatever it says itself.
package aksengine

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/cluster"
)

// Program is the name of it among the subjects: v0.79.0, the last that there is for the public cloud.
const Program = "aks-engine"

// The kinds of pools that AKS Engine makes of its agents. Masters are an availability set: it refuses to upgrade others.
const (
	PoolAvailabilitySet = "AvailabilitySet"
	PoolScaleSet        = "VirtualMachineScaleSets"
)

// Model is a cluster as AKS Engine is told of it.
type Model struct {
	Version string // of Kubernetes: 1.23.17
	Masters int
	Agents  int
	Pool    string // PoolAvailabilitySet, with a service principal, or PoolScaleSet, with identities of the machines' own and a Standard balancer
}

// dnsPrefix is the name of the clusters that are deployed here; what AKS Engine makes of it (GetClusterID, a number drawn from its hash) is in the names of all
// their machines.
const (
	dnsPrefix = "drydock"
	clusterID = "26658069"
)

// ScaleSet is what it calls the one that has a cluster's agents.
const ScaleSet = "k8s-agents-" + clusterID + "-vmss"

// Names are what AKS Engine calls a cluster's machines by their role, for Topology.Called: masters, and agents of a kind of pool.
func Names(pool string) map[cluster.Role]string {
	agents := "k8s-agents-" + clusterID + "-%d"
	if pool == PoolScaleSet {
		agents = ScaleSet + "%06d"
	}
	return map[cluster.Role]string{cluster.ControlPlane: "k8s-master-" + clusterID + "-%d", cluster.Worker: agents}
}

// Engine is the unmodified command line of AKS Engine, a process of this host that believes a twin to be its cloud.
type Engine struct {
	Path  string      // of the program, as subject.Builder makes it
	Twin  azure.Ready // the cloud
	CA    []byte      // the twin's authority, PEM
	Dir   string      // its files: the model, what it generates, a log of each command
	Group string      // the resource group of the cluster

	// Public has it take the twin for the public cloud, which it finds through the twin's proxy, and not for a cloud of a file's: its clients for that can list
	// no role assignments (pkg/armhelpers/azurestack/graph.go), and it dereferences the page that it does not get of a machine with an identity of its own.
	Public bool

	commands int
}

// Client is who AKS Engine is to the twin: it takes nothing but a UUID.
const Client = "a4e00000-0000-4000-8000-000000000001"

// Ended is a command that has ended by itself, well or not.
type Ended struct {
	Command string        `json:"command"` // as a user types it, without how it finds its cloud
	Code    int           `json:"code"`    // its exit code; -1: it was killed
	Begun   time.Time     `json:"begun"`
	Took    time.Duration `json:"took"`
	Said    string        `json:"said"` // the last that it said of what went wrong, or right
	Log     string        `json:"log"`  // file, within Dir
}

// Deploy makes the cluster. Its model of it is in Dir afterwards.
func (a *Engine) Deploy(ctx context.Context, m Model) (Ended, error) {
	if err := a.configure(m); err != nil {
		return Ended{}, fmt.Errorf("aks-engine deploy: %w", err)
	}
	return a.run(ctx, "deploy", "--api-model", "model.json", "--output-directory", output, "--resource-group", a.Group)
}

// Upgrade upgrades the cluster of Dir, whose API server the kubeconfig leads to, to a version. The flags are a user's: --force, --control-plane-only.
func (a *Engine) Upgrade(ctx context.Context, kubeconfig, version string, flags ...string) (Ended, error) {
	return a.run(ctx, "upgrade", append([]string{"--api-model", filepath.Join(output, "apimodel.json"), "--resource-group", a.Group, "--upgrade-version", version, "--kubeconfig", kubeconfig}, flags...)...)
}

// output is where deploy puts the model with all that it has filled in, which upgrade reads and rewrites when it has ended well.
const output = "out"

// configure writes what it reads: the model, and what the cloud is.
func (a *Engine) configure(m Model) error {
	if err := os.MkdirAll(a.Dir, 0o755); err != nil {
		return err
	}
	model, err := m.document()
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(a.file("model.json"), model, 0o600), a.Connect())
}

// Connect writes how it finds the twin: for a directory that has a cluster's model already.
func (a *Engine) Connect() error {
	return errors.Join(os.WriteFile(a.file("ca.pem"), a.CA, 0o644), a.Twin.WriteCloud(a.file("cloud.json")))
}

func (a *Engine) file(name string) string { return filepath.Join(a.Dir, name) }

// document is the model in AKS Engine's own format (docs/topics/clusterdefinitions.md of its repository).
func (m Model) document() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048) // of a user that nobody logs in as
	if err != nil {
		return nil, err
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	kubernetes := map[string]any{"useManagedIdentity": false}
	if m.Pool == PoolScaleSet {
		kubernetes = map[string]any{"useManagedIdentity": true, "loadBalancerSku": "Standard", "excludeMasterFromStandardLB": true}
	}
	const size = "Standard_D2_v3"
	properties := map[string]any{
		"orchestratorProfile":     map[string]any{"orchestratorType": "Kubernetes", "orchestratorVersion": m.Version, "kubernetesConfig": kubernetes},
		"masterProfile":           map[string]any{"count": m.Masters, "dnsPrefix": dnsPrefix, "vmSize": size},
		"linuxProfile":            map[string]any{"adminUsername": "azureuser", "ssh": map[string]any{"publicKeys": []any{map[string]any{"keyData": strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))}}}},
		"servicePrincipalProfile": map[string]any{"clientId": Client, "secret": "secret"},
	}
	if m.Agents > 0 {
		properties["agentPoolProfiles"] = []any{map[string]any{"name": "agents", "count": m.Agents, "vmSize": size, "availabilityProfile": m.Pool}}
	}
	return json.MarshalIndent(map[string]any{"apiVersion": "vlabs", "properties": properties}, "", "  ")
}

// run carries a command out. That it ends badly is no error: whoever asked for it knows what was expected.
func (a *Engine) run(ctx context.Context, verb string, args ...string) (e Ended, err error) {
	a.commands++
	if a.Dir, err = filepath.Abs(a.Dir); err != nil { // it is where the tool runs, and whose files it is told of
		return e, fmt.Errorf("aks-engine %s: %w", verb, err)
	}
	e = Ended{Command: strings.Join(append([]string{Program, verb}, args...), " "), Log: fmt.Sprintf("%02d-%s.log", a.commands, verb), Begun: time.Now()}
	cloud, find := azure.CloudName, []string{"AZURE_ENVIRONMENT_FILEPATH=" + a.file("cloud.json"), "HTTPS_PROXY="}
	if a.Public {
		cloud, find = "AzurePublicCloud", []string{"HTTPS_PROXY=" + a.Twin.Proxy}
	}
	argv := append([]string{verb, "--azure-env", cloud, "--auth-method", "client_secret", "--client-id", Client, "--client-secret", "secret",
		"--subscription-id", a.Twin.Subscription, "--location", azure.DefaultRegion}, args...)
	log, err := os.Create(a.file(e.Log))
	if err != nil {
		return e, fmt.Errorf("aks-engine %s: %w", verb, err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	cmd := exec.CommandContext(ctx, a.Path, argv...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = a.Dir, log, log
	// A home of its own, so that nothing of a user's is read. What Azure's Go libraries learn the addresses of a cloud that is none of Microsoft's from is a file.
	cmd.Env = append(append(os.Environ(), "HOME="+a.Dir, "SSL_CERT_FILE="+a.file("ca.pem"), "HTTP_PROXY="), find...)
	runErr := cmd.Run()
	e.Took = time.Since(e.Begun)
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return e, fmt.Errorf("%s: %w (its log: %s)", e.Command, context.Cause(ctx), a.file(e.Log))
	case errors.As(runErr, &ended):
		e.Code = ended.ExitCode()
	case runErr != nil:
		return e, fmt.Errorf("%s: %w", e.Command, runErr)
	}
	said, err := os.ReadFile(a.file(e.Log))
	e.Said = lastSaid(said)
	return e, err
}

// levelled is a line of its log: a colour, a level and a time before what it says.
func levelled() *regexp.Regexp {
	return regexp.MustCompile(`^\x1b\[\d+m(\w+)\x1b\[0m\[\d+\] ?`)
}

// maxSaid is more than a line of a table can have.
const maxSaid = 400

// lastSaid is the error that a log ends with, or else its last line. The usage that is printed with an error is not what it says.
func lastSaid(log []byte) string {
	last, failure := "", ""
	for line := range bytes.Lines(log) {
		said, is := bytes.CutPrefix(line, []byte("Error: "))
		switch level := levelled().Find(line); {
		case is:
			failure = string(bytes.TrimSpace(said))
		case level != nil:
			last = string(bytes.TrimSpace(line[len(level):]))
		}
	}
	said := cmp.Or(failure, last)
	if len(said) > maxSaid {
		said = strings.ToValidUTF8(said[:maxSaid], "") + "…"
	}
	return said
}
