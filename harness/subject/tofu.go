package subject

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"drydock.dev/drydock/harness/cluster"
)

// TofuProgram is OpenTofu in the directory that MakeTofu makes.
const TofuProgram = "bin/tofu"

// TofuDir is where hack/tofu puts OpenTofu with its providers, below a cache directory.
func TofuDir(cache string) string { return filepath.Join(cache, "tofu") }

// Tofu is the program in such a directory. A UsageError says how to get it where it, or what it consists of, is not there.
func Tofu(dir string) (string, error) {
	for _, part := range append(tofuProviders(), tofuProvider{file: tofuItself}, tofuProvider{file: TofuProgram}) {
		if _, err := os.Stat(filepath.Join(dir, part.file)); err != nil { // follows the link into the cache of subjects
			return "", cluster.Usagef("there is no whole OpenTofu in %s (%s is missing): build it with `make tofu`", dir, part.file)
		}
	}
	return filepath.Join(dir, TofuProgram), nil
}

const tofuItself = "libexec/tofu"

// tofuProvider is a provider and where OpenTofu looks for it, as its documentation says of an unpacked mirror in the file system.
type tofuProvider struct{ subject, file string }

func tofuProviders() []tofuProvider {
	at := func(address, version, name string) string {
		return filepath.Join("providers", "registry.opentofu.org", address, version, runtime.GOOS+"_"+runtime.GOARCH, "terraform-provider-"+name+"_v"+version)
	}
	return []tofuProvider{{"terraform-provider-azapi", at("azure/azapi", "1.15.0", "azapi")}}
}

// MakeTofu builds OpenTofu and its providers, unmodified, and puts them together in dir, so that `tofu init` asks no registry.
func (b Builder) MakeTofu(ctx context.Context, dir string) error {
	for _, part := range append(tofuProviders(), tofuProvider{"opentofu", tofuItself}) {
		program, err := b.Build(ctx, part.subject)
		if err != nil {
			return err
		}
		link := filepath.Join(dir, part.file)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(program, link); err != nil {
			return fmt.Errorf("%s: %w", part.subject, err)
		}
	}
	script := filepath.Join(dir, TofuProgram)
	if err := os.MkdirAll(filepath.Dir(script), 0o755); err != nil {
		return err
	}
	return os.WriteFile(script, []byte(tofuScript), 0o755) //nolint:gosec // a program
}

// tofuScript has `tofu init` take its providers from the mirror and from nowhere else.
const tofuScript = `#!/bin/sh
here=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd) || exit 2
export TF_CLI_ARGS_init="-plugin-dir='$here/providers' $TF_CLI_ARGS_init"
exec "$here/` + tofuItself + `" "$@"
`
