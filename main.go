// Drydock is a chaos and validation test harness for Kubernetes clusters.
package main

import (
	"os"

	"drydock.dev/drydock/harness/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
