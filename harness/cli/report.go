package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/reports"
	"drydock.dev/drydock/reports/certificate"
)

func reportCommand(o *options) *cobra.Command {
	var learn, signKey string
	c := &cobra.Command{
		Use: "report DIR", Short: "Judge a run again from its evidence, by today's checks, and write its reports anew", Args: cobra.ExactArgs(1),
		Example: "  drydock report runs/upgrade-leader-crash\n  drydock report runs/upgrade-leader-crash --sign-key ~/.ssh/id_ed25519\n  drydock report verify runs/upgrade-leader-crash --key trusted.pub\n  drydock report serve",
		Long: `Report judges a run again from its journal and its evidence, by today's checks, and writes report.json, junit.xml, report.md, timeline.svg, report.html and
certificate.json anew. A run that was cut off is reported as well, as far as its journal goes, and is INCONCLUSIVE.

A signature that the certificate had is gone then: it was of another one. --sign-key signs anew.

Exit codes: 0 GO, 1 NO-GO, 2 usage or environment error, 3 INCONCLUSIVE.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if learn != "" {
				return learnObjects(args[0], learn)
			}
			key, err := signer(signKey)
			if err != nil {
				return err
			}
			res, err := experiment.Judge(args[0])
			if err != nil {
				return err
			}
			if err := reports.Write(args[0], res, key); err != nil {
				return err
			}
			if err := reports.Summary(cmd.OutOrStdout(), res, o.paintFor(os.Stdout)); err != nil {
				return err
			}
			if code := exitOf(res.Verdict); code != exitGo {
				return codeError{code}
			}
			return nil
		},
	}
	c.Flags().StringVar(&learn, "learn-objects", "", "write what the clean upgrade of this run has changed in the cluster's objects, for fixtures/objects/FROM-TO.yaml, and judge nothing")
	c.Flags().StringVar(&signKey, "sign-key", "", signKeyHelp)
	c.AddCommand(reportVerifyCommand(), reportDiffCommand(), reportTrend(o), reportServe(o))
	return c
}

// learnObjects writes a file anew: what it held was learned of another run.
func learnObjects(dir, file string) error {
	learned, err := experiment.Learn(dir)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, learned, 0o644); err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	return nil
}

const signKeyHelp = "sign the certificate with this private key, ssh-ed25519 without a passphrase"

// signer reads the key to sign with; nil: none was given.
func signer(file string) (ssh.Signer, error) {
	if file == "" {
		return nil, nil
	}
	return certificate.ReadSigner(file)
}
