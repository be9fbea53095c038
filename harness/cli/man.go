package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes what --help says as man pages.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the man pages of all commands", Args: cobra.ExactArgs(1),
		Example: "  drydock man ~/.local/share/man/man1 && man drydock-run",
		Long:    "Man writes a page for each command into DIR, which is made where there is none: drydock.1, drydock-run.1 and so on. $SOURCE_DATE_EPOCH is their date, where it is set.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("man: %w", err)
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // pages of one version are the same whenever they are written
			err := doc.GenManTree(root, &doc.GenManHeader{Title: "DRYDOCK", Section: "1", Source: "Drydock", Manual: "Drydock"}, args[0])
			if err != nil {
				return errors.Join(errors.New("man: not all pages are written"), err)
			}
			return nil
		},
	}
}

// addShells adds what cobra would add by itself, help and shell completion, with examples as all others have them.
func addShells(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	examples := map[string]string{
		"help":       "  drydock help run",
		"completion": "  source <(drydock completion bash)",
		"bash":       "  source <(drydock completion bash)\n  drydock completion bash > /etc/bash_completion.d/drydock",
		"zsh":        "  source <(drydock completion zsh)\n  drydock completion zsh > \"${fpath[1]}/_drydock\"",
		"fish":       "  drydock completion fish > ~/.config/fish/completions/drydock.fish",
		"powershell": "  drydock completion powershell | Out-String | Invoke-Expression",
	}
	for _, c := range root.Commands() {
		if c.Name() != "help" && c.Name() != "completion" {
			continue
		}
		c.Example = examples[c.Name()]
		for _, shell := range c.Commands() {
			shell.Example = examples[shell.Name()]
		}
	}
}
