package subject

import (
	"os"
	"path/filepath"

	"drydock.dev/drydock/harness/cluster"
)

// AzProgram is the Azure CLI in the directory that hack/az makes.
const AzProgram = "bin/az"

// AzDir is where hack/az puts the Azure CLI, below a cache directory.
func AzDir(cache string) string { return filepath.Join(cache, "az") }

// Az is the program in such a directory. A UsageError says how to get it where there is none.
func Az(dir string) (string, error) {
	program := filepath.Join(dir, filepath.FromSlash(AzProgram))
	if _, err := os.Stat(program); err != nil {
		return "", cluster.Usagef("there is no az in %s: get it with `make az`", dir)
	}
	return program, nil
}
