package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

func armCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "arm", Short: "The twin: an Azure Resource Manager for clients to be tested against, throttling included",
		Example: "  drydock arm serve --listen 127.0.0.1:8443 --ca-out ca.pem --ready-file ready.json\n  drydock arm top --ready-file ready.json",
	}
	c.AddCommand(armServe(o), armProxy(), armExec(), armFault(), armState(), armClock(), armCalls(), armTop(), armBudget(), armCalibrate(), armPolicies())
	return c
}

type armFlags struct {
	listen  azure.Listen
	options azure.Options
	clock   string
	policy  string
	timings string
	state   string
	lab     string
	stands  map[string]string // what versions in machines' tags stand for
}

func armServe(o *options) *cobra.Command {
	var f armFlags
	c := &cobra.Command{
		Use: "serve", Short: "Serve the twin until it is interrupted", Args: cobra.NoArgs,
		Example: `  drydock arm serve --ca-out ca.pem --ready-file ready.json
  export HTTPS_PROXY=$(jq -r .proxy ready.json) SSL_CERT_FILE=ca.pem REQUESTS_CA_BUNDLE=ca.pem   # a client of the public cloud is now one of the twin
  drydock arm serve --policy legacy --clock 60 --ready-file ready.json                           # an hour's limits in a minute
  drydock arm fault inject throttle operations='LIST Microsoft.Compute/*' retryAfter=61 --ready-file ready.json`,
		Long: `Serve answers as Azure Resource Manager does, over TLS with a certificate authority of its own: resources with life cycles, long-running
operations, tokens, instance metadata, and both layers of throttling. Any subscription exists; any client id and secret get a token.

Unmodified clients of the public cloud find it by a forward proxy, which leads management.azure.com, login.microsoftonline.com, the hosts of vaults and
of storage and the metadata service here, whatever is meant for them, and to other hosts without looking in; with --any-host it refuses those. What is to be
set is printed. For clients that ignore proxies there is ` + "`drydock arm exec`" + `.

Clients that take the description of a cloud from a file, AKS Engine and cloud-provider-azure among them, find it by the one that --cloud-out writes:
AZURE_ENVIRONMENT_FILEPATH, with SSL_CERT_FILE, and the cloud's name AzureStackCloud (aks-engine --azure-env AzureStackCloud).

The ready file appears when the twin answers, for its owner to read. It is JSON with endpoint, authority, tenant, subscription, proxy, imds, control,
controlToken, ca, cloud and pid. Control is a listener on the loopback apart, for drydock arm fault, state, clock, calls and top; it takes JSON, and wants the token
as a bearer token. How operations run is set there (POST /_twin/operations), and /metrics are there. Tokens of clients live for 3599 seconds of the wall's
clock, whatever the twin's is.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.serve(cmd, o) },
	}
	f.listenFlags(c)
	fl := c.Flags()
	fl.StringVar(&f.listen.CloudOut, "cloud-out", "", "file to write a description of the twin as a cloud to, for AZURE_ENVIRONMENT_FILEPATH")
	fl.StringVar(&f.listen.Proxy, "proxy", "", "address of the forward proxy (default a free port beside the gateway)")
	fl.StringVar(&f.policy, "policy", "current", "throttling policy: a file, or "+strings.Join(throttle.Policies(), ", "))
	fl.StringVar(&f.timings, "timings", "", "file that says how long operations take and what clients are told of them, over what the twin has (as drydock arm calibrate writes it; fixtures/azure/operations.yaml is of its form)")
	fl.BoolVar(&f.options.Hostile, "hostile", false, "rejected calls count, and early retries lengthen the block")
	fl.StringVar(&f.clock, "clock", "wall", "wall, virtual, or how many times as fast as the wall's")
	fl.StringVar(&f.state, "state", "", "file with resources to start with, as drydock arm state export writes it")
	fl.StringToStringVar(&f.stands, "kubernetes-versions", nil, "with --lab, what versions in the tag "+provider.VersionTag+" of machines stand for (1.23.17=v1.35.4,1.24.17=v1.36.3); another stands for itself")
	fl.StringVar(&f.lab, "lab", "", "running cluster whose machines the virtual machines are: PUT boots one and joins it, DELETE removes it but for a control plane's disk of etcd, power actions act; each has an interface in network "+workers.Network+", subnet "+workers.Subnet)
	fl.StringVar(&f.options.Region, "region", azure.DefaultRegion, "region of the gateway")
	fl.StringVar(&f.options.Tenant, "tenant", azure.DefaultTenant, "id of the tenant")
	fl.StringVar(&f.options.Subscription, "subscription", azure.DefaultSubscription, "id of the subscription the ready file names; any other exists as well")
	fl.Uint64Var(&f.options.Seed, "seed", 1, "of the durations of operations")
	fl.BoolVar(&f.options.Strict, "strict", false, "refuse api-versions that the types do not say they have")
	fl.BoolVar(&f.options.MultiHeader, "multi-header", false, "one x-ms-ratelimit-remaining-resource header a policy")
	_ = c.RegisterFlagCompletionFunc("policy", cobra.FixedCompletions(throttle.Policies(), cobra.ShellCompDirectiveDefault))
	return c
}

func (f *armFlags) listenFlags(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.listen.Address, "listen", "127.0.0.1:0", "address to serve on; port 0 chooses a free one")
	fl.BoolVar(&f.listen.AnyHost, "any-host", false, "allow an address that other machines reach")
	fl.StringVar(&f.listen.CAOut, "ca-out", "", "file to write the certificate authority's certificate to")
	fl.StringVar(&f.listen.CACert, "ca-cert", "", "certificate authority to use instead of an own one, PEM")
	fl.StringVar(&f.listen.CAKey, "ca-key", "", "its ECDSA key, PEM")
	fl.StringVar(&f.listen.ReadyFile, "ready-file", "", "file to write when everything answers")
}

func (f *armFlags) serve(cmd *cobra.Command, o *options) (err error) {
	if f.options.Policy, err = throttle.LoadPolicy(f.policy); err != nil {
		return err
	}
	if f.timings != "" {
		if f.options.Timings, err = azure.LoadTimings(f.timings); err != nil {
			return err
		}
	}
	if f.options.Clock, err = arm.ParseClock(f.clock); err != nil {
		return err
	}
	var begin azure.State
	if f.lab == "" && len(f.stands) > 0 {
		return cluster.Usagef("--kubernetes-versions says what the machines of a cluster run: name it, --lab NAME")
	}
	if f.lab != "" {
		if begin, err = o.drive(cmd, f); err != nil {
			return err
		}
	}
	twin, err := azure.New(f.options)
	if err != nil {
		return err
	}
	if f.state != "" {
		if err := loadState(twin, f.state); err != nil {
			return err
		}
	}
	if err := twin.Load(begin); err != nil {
		return err
	}
	s, err := twin.Serve(cmd.Context(), f.listen)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	printf(out, "%s\n  Resource Manager  %s\n  instance metadata %s\n  control           %s\n", twin, s.Ready.Endpoint, s.Ready.IMDS, s.Ready.Control)
	printf(out, "For clients of the public cloud:\n")
	env := s.Ready.Environment()
	printf(out, "  export %s\n", env[0])
	if len(env) == 1 {
		printf(out, "  and the certificate authority, which --ca-out FILE writes: SSL_CERT_FILE=FILE\n")
	} else {
		printf(out, "  export %s\n", strings.Join(env[1:], " "))
	}
	if s.Ready.Cloud != "" {
		printf(out, "For clients that are told of a cloud, as %s:\n  export AZURE_ENVIRONMENT_FILEPATH=%s\n", azure.CloudName, s.Ready.Cloud)
	}
	return f.wait(cmd.Context(), s)
}

// wait serves until it is interrupted, and takes the ready file away: nobody answers there any more.
func (f *armFlags) wait(ctx context.Context, s *azure.Server) error {
	err := errors.Join(s.Wait(ctx), s.Close())
	if f.listen.ReadyFile != "" {
		err = errors.Join(err, os.Remove(f.listen.ReadyFile))
	}
	return err
}

// drive makes a lab's machines the twin's virtual machines, and gives the documents of those there are.
func (o *options) drive(cmd *cobra.Command, f *armFlags) (s azure.State, err error) {
	for tagged, version := range f.stands {
		v, err := release.Resolve(release.Kubernetes, version)
		if err != nil {
			return s, cluster.Usagef("--kubernetes-versions: %s: %w", tagged, err)
		}
		f.stands[tagged] = v.Version
	}
	p, err := o.open()
	if err != nil {
		return s, err
	}
	l, err := p.Attach(cmd.Context(), f.lab)
	if err != nil {
		return s, err
	}
	m, err := workers.New(cmd.Context(), l)
	if err != nil {
		return s, err
	}
	m.Versions = f.stands
	for _, v := range m.Versions {
		if err := p.Provide(cmd.Context(), release.Kubernetes, v); err != nil {
			return s, err
		}
	}
	f.options.Machines = m
	return m.State(f.options.Subscription)
}

func loadState(twin *azure.Twin, file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return cluster.Usagef("state: %w", err)
	}
	var s azure.State
	if err := json.Unmarshal(raw, &s); err != nil {
		return cluster.Usagef("state %s: %w", file, err)
	}
	if err := twin.Load(s); err != nil {
		return fmt.Errorf("state %s: %w", file, err)
	}
	return nil
}

func armPolicies() *cobra.Command {
	return &cobra.Command{
		Use: "policies", Short: "List the throttling policies", Args: cobra.NoArgs,
		Example: "  drydock arm policies",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range throttle.Policies() {
				p, err := throttle.LoadPolicy(name)
				if err != nil {
					return err
				}
				printf(cmd.OutOrStdout(), "%-10s %s\n", p.Name, p.About)
			}
			return nil
		},
	}
}
