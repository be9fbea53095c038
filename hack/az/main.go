// Az gets the Azure CLI as Debian has it, with Debian's Python and every library of it, into Drydock's cache: a real client of the public cloud, to be run
// against the twin. It installs nothing and needs no root. Run it as `make az`; then AZ is bin/az of the directory that it names.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"drydock.dev/drydock/hack/debian"
	"drydock.dev/drydock/harness/provider"
	"drydock.dev/drydock/harness/subject"
)

const root = "azure-cli"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // nobody calls main
	defer stop()
	source := debian.Source{Tell: tell}
	dir := flag.String("dir", subject.AzDir(provider.DefaultDir("XDG_CACHE_HOME", ".cache")), "where to put it: az below Drydock's cache directory")
	again := flag.Bool("again", false, "get it anew although it is there")
	source.Flags(flag.CommandLine, "")
	flag.Parse()
	if err := run(ctx, source, *dir, *again); err != nil {
		tell("az: %v", err)
		stop()
		os.Exit(2)
	}
}

func tell(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }

func run(ctx context.Context, source debian.Source, dir string, again bool) error {
	begun := time.Now()
	if az, err := subject.Az(dir); err == nil && !again {
		tell("it is there already: %s (--again gets it anew)", az)
		return nil
	}
	if err := debian.Fresh(dir, func(fresh string) error {
		return source.Fill(ctx, fresh, debian.Program{Package: root, What: "az with its Python", Follow: follow, Keep: keep, Path: subject.AzProgram, Script: script})
	}); err != nil {
		return err
	}
	az, err := subject.Az(dir)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, az, "version")
	cmd.Env = append(os.Environ(), "AZURE_CORE_COLLECT_TELEMETRY=no")
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(root)) {
		return fmt.Errorf("%s version does not work here: %w: %s", az, err, out)
	}
	tell("%s after %s", az, time.Since(begun).Round(time.Second))
	return nil
}

// follow lets Python, its packages and libraries through: nothing of what installs packages is needed to run them.
func follow(name string) bool {
	return slices.ContainsFunc([]string{"python3", "lib", "zlib", "azure-cli"}, func(start string) bool { return strings.HasPrefix(name, start) })
}

// keep leaves out what is read by people and by tests only.
func keep(name string) bool {
	switch {
	case name == python:
		return true
	case strings.HasPrefix(name, "usr/lib/python3/dist-packages/azure/cli/") && strings.Contains(name, "/tests/"):
		return false
	}
	return strings.HasPrefix(name, "lib/") || strings.HasPrefix(name, "usr/lib/") && path.Base(name) != "EXTERNALLY-MANAGED"
}

const python = "usr/bin/python3.11"

// script runs az with the loader and the libraries it came with, so that the host's are not asked. Debian's own does no more (/usr/bin/az).
const script = `#!/bin/sh
here=$(cd "$(dirname "$(readlink -f "$0")")/../root" && pwd) || exit 2
export AZ_INSTALLER=DEB PYTHONHOME="$here/usr" PYTHONPATH="$here/usr/lib/python3/dist-packages" PYTHONNOUSERSITE=1
libraries=$here/lib/x86_64-linux-gnu
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$here/usr/lib/x86_64-linux-gnu" "$here/` + python + `" -m azure.cli "$@"
`
