package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports"
	"drydock.dev/drydock/reports/certificate"
)

func reportVerifyCommand() *cobra.Command {
	var keyFile string
	var asJSON bool
	c := &cobra.Command{
		Use: "verify DIR", Short: "Hold a run's directory to its certificate, byte by byte", Args: cobra.ExactArgs(1),
		Example: "  drydock report verify runs/upgrade-leader-crash --key trusted.pub\n" +
			"  ssh-keygen -Y check-novalidate -n " + certificate.Namespace + " -s DIR/certificate.json.sig < DIR/certificate.json",
		Long: `Verify compares every file of a run's directory with its certificate, makes the certificate anew by judging the evidence, and looks whose signature it has. It
writes nothing.

It passes only where nothing was changed, added or taken away, the certificate follows from the evidence, and its signature is of a key that --key
trusts. It says whether the certificate is one, not that the run was GO: that is its verdict, on the first line.

Exit codes: 0 it is a certificate, and by a key you trust; 1 something was changed, or the signature is not of it; 2 usage or environment error; 3 nothing was
changed, and nobody you trust vouches for it: it is not signed, its key is unknown, or another build of Drydock has judged otherwise.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var keys []ssh.PublicKey
			if keyFile != "" {
				var err error
				if keys, err = certificate.ReadKeys(keyFile); err != nil {
					return err
				}
			}
			v, err := reports.Verify(args[0], experiment.Judge, keys)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), v)
			} else {
				printVerified(cmd.OutOrStdout(), v)
			}
			if code := exitOfCheck(v.Outcome); code != exitGo && err == nil {
				return codeError{code}
			}
			return err
		},
	}
	c.Flags().StringVar(&keyFile, "key", "", "file with the public keys that are trusted to sign, as FILE.pub has one")
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return c
}

// exitOfCheck is the exit code of a comparison: nothing was found, something was, or nobody can say.
func exitOfCheck(v plan.Verdict) int {
	switch v {
	case plan.Pass:
		return exitGo
	case plan.Fail:
		return exitNoGo
	default:
		return exitInconclusive
	}
}

func printVerified(w io.Writer, v *certificate.Verified) {
	if v.Scenario != "" {
		printf(w, "Certificate of a run of %s that ended %s: %d files, %d things not tested; judged by Drydock %s\n", v.Scenario, strings.ToUpper(string(v.Verdict)), v.Files, v.NotTested, v.JudgedBy)
	}
	for _, s := range v.Changed {
		printf(w, "  changed: %s\n", s)
	}
	for _, s := range v.Unproven {
		printf(w, "  unproven: %s\n", s)
	}
	for _, s := range v.Notes {
		printf(w, "  note: %s\n", s)
	}
	switch {
	case v.Outcome == plan.Pass:
		printf(w, "VERIFIED: nothing was changed, and it is signed by %s\n", v.Signer)
	case v.Outcome == plan.Fail:
		printf(w, "NOT VERIFIED: this is not what was certified\n")
	case v.Signer == "":
		printf(w, "NOT SIGNED: nothing was changed, and nobody vouches for it\n")
	default:
		printf(w, "INCONCLUSIVE: nothing was changed, and that is not proven\n")
	}
}
