package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"mvdan.cc/sh/v3/syntax"
)

// commands are the words of every command in a piece of shell, those in substitutions as well, as a shell reads them. What only the shell can put in is
// left as it was written.
func commands(script string) ([][]string, error) {
	file, err := syntax.NewParser().Parse(strings.NewReader(script), "")
	if err != nil {
		return nil, fmt.Errorf("%q: %w", script, err)
	}
	var out [][]string
	syntax.Walk(file, func(n syntax.Node) bool {
		call, is := n.(*syntax.CallExpr)
		if !is || len(call.Args) == 0 {
			return true
		}
		var words []string
		for _, w := range call.Args {
			words = append(words, word(w.Parts))
		}
		out = append(out, words)
		return true
	})
	return out, nil
}

func word(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, p := range parts {
		switch p := p.(type) {
		case *syntax.Lit:
			b.WriteString(p.Value)
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			b.WriteString(word(p.Parts))
		default:
			var raw bytes.Buffer
			_ = syntax.NewPrinter().Print(&raw, p)
			b.Write(raw.Bytes())
		}
	}
	return b.String()
}

// accepts finds the command of the words, has it read its flags and count its arguments, and does nothing.
func accepts(words []string) (*cobra.Command, error) {
	c, rest, err := newRoot().Find(words)
	if err != nil {
		return c, err
	}
	if c.DisableFlagParsing {
		return c, nil
	}
	if err := c.ParseFlags(rest); errors.Is(err, pflag.ErrHelp) {
		return c, nil
	} else if err != nil {
		return c, err
	}
	return c, c.ValidateArgs(c.Flags().Args())
}
