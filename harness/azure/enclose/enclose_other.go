//go:build !linux

package enclose

import (
	"context"

	"drydock.dev/drydock/harness/cluster"
)

// Run needs namespaces.
func (Enclosure) Run(context.Context, []string) (int, error) {
	return 0, cluster.Usagef("only Linux has the namespaces for it: give the client the proxy instead, as `drydock arm serve` prints it")
}

// Inside is never called.
func Inside() error { return errNoNamespaces }
