package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/cluster"
)

// readyEnv names the ready file of the twin that commands are about, for whoever types several.
const readyEnv = "DRYDOCK_ARM_READY"

// readyFlag is the twin that a command is about.
type readyFlag struct{ file string }

func (f *readyFlag) add(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "ready-file", envOr(readyEnv, ""), "the twin's ready file, or $"+readyEnv)
	_ = c.MarkFlagFilename("ready-file", "json")
}

// find reads it.
func (f *readyFlag) find() (azure.Ready, error) {
	if f.file == "" {
		return azure.Ready{}, cluster.Usagef("which twin? --ready-file FILE, or %s=FILE: what `drydock arm serve --ready-file FILE` writes", readyEnv)
	}
	return azure.ReadReady(f.file)
}

// ask asks the twin's control listener.
func (f *readyFlag) ask(ctx context.Context, method, path string, body, into any) error {
	twin, err := f.find()
	if err != nil {
		return err
	}
	return twin.AskControl(ctx, method, path, body, into)
}

// get is for what has no body.
func (f *readyFlag) get(ctx context.Context, path string, into any) error {
	return f.ask(ctx, http.MethodGet, path, nil, into)
}
