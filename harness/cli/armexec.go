package cli

import (
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/enclose"
	"drydock.dev/drydock/harness/cluster"
)

// innerCommand is what `drydock arm exec` has itself called by, inside.
const innerCommand = "arm-inside"

func armExec() *cobra.Command {
	var ready readyFlag
	var reach []string
	c := &cobra.Command{
		Use: "exec -- PROGRAM [ARG…]", Short: "Run a program for which the public cloud is the twin, whether it knows of proxies or not", Args: cobra.MinimumNArgs(1),
		Example: "  drydock arm exec --ready-file ready.json -- az vm list\n" +
			"  drydock arm exec --ready-file ready.json --reach 10.0.0.5:6443 -- aks-engine upgrade --resource-group g …",
		Long: `Exec runs PROGRAM in namespaces of its own, which needs no root: management.azure.com, login.microsoftonline.com and the other hosts that the twin
stands for are addresses of its loopback, by its own hosts file and its own resolver, and lead to the twin; so does the instance metadata service at
169.254.169.254. The twin's certificate authority is in the system's bundle as the program sees it, and in SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and
NODE_EXTRA_CA_CERTS. Nothing else can be reached, so that no mistake gets to the real cloud, but what --reach names. Files are the host's, and what the
program writes stays. A client with a list of authorities of its own built in does not trust the twin, here as anywhere. The exit code is the program's.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			twin, err := ready.find()
			if err != nil {
				return err
			}
			e, err := enclosed(twin)
			if err != nil {
				return err
			}
			e.Reach = reach
			code, err := e.Run(cmd.Context(), args)
			if err == nil && code != 0 {
				return codeError{code}
			}
			return err
		},
	}
	ready.add(c)
	c.Flags().SetInterspersed(false) // what follows the program is the program's
	c.Flags().StringSliceVar(&reach, "reach", nil, "HOST:PORT outside that the program can reach as well")
	return c
}

// enclosed is the surroundings that make a program a twin's client.
func enclosed(twin azure.Ready) (e enclose.Enclosure, err error) {
	if twin.IMDS == "" {
		return e, cluster.Usagef("this is the ready file of a proxy, which has no twin behind it: exec needs that of `drydock arm serve`")
	}
	self, err := os.Executable()
	if err != nil {
		return e, err
	}
	if e.CA, err = os.ReadFile(twin.CA); err != nil {
		return e, cluster.Usagef("exec needs the twin's certificate: start it with --ca-out FILE: %w", err)
	}
	e.Hosts, e.Self = azure.Hosts(), []string{self, innerCommand}
	for _, w := range []struct{ inside, outside string }{{"127.0.0.1:443", twin.Endpoint}, {"", twin.Endpoint}, {"169.254.169.254:80", twin.IMDS}} {
		u, err := url.Parse(w.outside)
		if err != nil {
			return e, cluster.Usagef("the ready file: %w", err)
		}
		if w.inside == "" {
			w.inside = u.Host // programs that were told of the twin find it where it is
		}
		e.Ways = append(e.Ways, enclose.Way{Inside: w.inside, Outside: u.Host})
	}
	return e, nil
}
