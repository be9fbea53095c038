package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/proxy"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/cluster"
)

func armProxy() *cobra.Command {
	var f armFlags
	var o proxy.Options
	var record, replay string
	var keepSecrets bool
	c := &cobra.Command{
		Use: "proxy", Short: "Stand between clients and the real endpoints: count, record, inject, replay", Args: cobra.NoArgs,
		Example: `  drydock arm proxy --listen 127.0.0.1:8080 --ca-out ca.pem --record calls.jsonl
  HTTPS_PROXY=http://127.0.0.1:8080 HTTP_PROXY=http://127.0.0.1:8080 SSL_CERT_FILE=ca.pem az-tool …
  drydock arm proxy --to https://management.azure.com --ca-out ca.pem --ready-file ready.json
  drydock arm proxy --replay calls.jsonl --ca-out ca.pem --ready-file ready.json`,
		Long: `Proxy passes calls on to the real endpoints. As a forward proxy it takes HTTPS_PROXY (and HTTP_PROXY, which brings the instance metadata service
along) and stands before Azure's own names, or those of --intercept: for them it signs with its own certificate authority, which clients get in
SSL_CERT_FILE. It leads to all other hosts without looking at what is said; with --any-host it refuses them, and never connects to link-local
addresses, the metadata service among them, nor to this machine itself. With --to it is a reverse proxy for one endpoint. Calls are counted on the
budgets of --policy, and the call log says which would have been over them; faults are armed on the control listener of the ready file, as with
arm serve.

--record writes every exchange without what would let somebody in: fields whose names have password, secret, key, token and the like in them, what a
template declares secure, tokens and PEM files wherever they are, base64 of them as well. Bodies that are neither JSON nor a form are left out, and
it is said how long they were. Whose token it was is told by the id in it. What cannot be recorded goes through all the same: a warning and /metrics tell, and the proxy ends with an error.
--replay answers from such a file and reaches nothing.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			switch {
			case replay != "" && (o.To != "" || record != ""):
				return cluster.Usagef("--replay reaches nothing: it goes with neither --to nor --record")
			case replay != "":
				r, err := proxy.LoadReplay(replay)
				if err != nil {
					return err
				}
				o.Replay = r
			case record != "":
				if o.Record, err = proxy.NewRecorder(record, keepSecrets); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, o.Record.Close()) }()
				o.Lost = func(err error) { printf(cmd.ErrOrStderr(), "warning: %s\n", err) }
			}
			if f.options.Policy, err = throttle.LoadPolicy(f.policy); err != nil {
				return err
			}
			if f.options.Clock, err = arm.ParseClock("wall"); err != nil {
				return err
			}
			twin, err := azure.New(f.options)
			if err != nil {
				return err
			}
			s, err := twin.ServeProxy(cmd.Context(), o, f.listen)
			if err != nil {
				return err
			}
			printf(cmd.OutOrStdout(), "proxy   %s\ncontrol %s\n", s.Ready.Endpoint, s.Ready.Control)
			return f.wait(cmd.Context(), s)
		},
	}
	fl := c.Flags()
	f.listenFlags(c)
	fl.StringVar(&f.policy, "policy", "current", "throttling policy to count by: a file, or "+strings.Join(throttle.Policies(), ", "))
	fl.StringVar(&f.options.Region, "region", azure.DefaultRegion, "region of the gateway, for the count")
	fl.StringSliceVar(&o.Intercept, "intercept", proxy.Hosts(), "hosts a forward proxy stands before, *.example.com for all below one")
	fl.StringVar(&o.To, "to", "", "be a reverse proxy for this endpoint")
	fl.StringVar(&o.Authority, "authority", "", "token service that clients of a reverse proxy are told (default the public cloud's, or that of --to)")
	fl.StringVar(&o.ToCA, "to-ca", "", "certificate authority of the real endpoints (default the system's)")
	fl.StringVar(&record, "record", "", "file to append every exchange to")
	fl.BoolVar(&keepSecrets, "keep-secrets", false, "record everything as it is")
	fl.StringVar(&replay, "replay", "", "answer from this recording and reach nothing")
	return c
}
