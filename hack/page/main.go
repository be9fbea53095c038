// Page gets what the HTML report is tested with into Drydock's cache: Debian's headless Chromium with every library and font of it, unpacked and not installed,
// and axe-core, which looks for what keeps people from using a page. And it holds the library that the page has in it, reports/page/uplot, to the package that
// package-lock.json pins by version and checksum; with --vendor it puts that there. Run it as `make page`.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"drydock.dev/drydock/hack/debian"
	"drydock.dev/drydock/harness/provider"
)

const (
	root     = "chromium-headless-shell"
	program  = "usr/lib/chromium/chromium-headless-shell"
	vendored = "reports/page/uplot"

	shellPath = "bin/chromium"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // nobody calls main
	defer stop()
	source := debian.Source{Tell: tell}
	dir := flag.String("dir", filepath.Join(provider.DefaultDir("XDG_CACHE_HOME", ".cache"), "browser"), "where to put it: browser below Drydock's cache directory")
	again := flag.Bool("again", false, "get it anew although it is there")
	vendor := flag.Bool("vendor", false, "put the pinned uPlot into "+vendored)
	source.Flags(flag.CommandLine, "")
	flag.Parse()
	if err := run(ctx, source, *dir, *again, *vendor); err != nil {
		tell("page: %v", err)
		stop()
		os.Exit(2)
	}
}

func tell(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }

func run(ctx context.Context, source debian.Source, dir string, again, vendor bool) (err error) {
	begun := time.Now()
	modules, err := modules(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(modules)) }()
	if err := held(filepath.Join(modules, "node_modules", "uplot"), vendor); err != nil {
		return err
	}
	shell := filepath.Join(dir, shellPath)
	if _, err := os.Stat(shell); err == nil && !again {
		tell("it is there already: %s (--again gets it anew)", shell)
		return nil
	}
	if err := debian.Fresh(dir, func(fresh string) error { return fill(ctx, source, modules, fresh) }); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, shell, "--version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s does not work here: %w: %s", shell, err, out)
	}
	tell("%s: %s after %s", shell, bytes.TrimSpace(out), time.Since(begun).Round(time.Second))
	return nil
}

// modules has npm get what the lock file pins into a directory of its own; nothing of it is run.
func modules(ctx context.Context) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "drydock-page-"); err != nil {
		return "", fmt.Errorf("npm: %w", err)
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		raw, err := os.ReadFile(filepath.Join("hack/page", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o600)
		}
		if err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("npm ci: %w: %s", err, out), os.RemoveAll(dir))
	}
	return dir, nil
}

// held compares the library in the tree with the pinned package's, or puts that there.
func held(from string, vendor bool) error {
	for name, in := range map[string]string{"uPlot.iife.min.js": "dist", "uPlot.min.css": "dist", "LICENSE": ""} {
		want, err := os.ReadFile(filepath.Join(from, in, name))
		if err != nil {
			return fmt.Errorf("uplot: %w", err)
		}
		file := filepath.Join(vendored, name)
		if vendor {
			if err := errors.Join(os.MkdirAll(vendored, 0o755), os.WriteFile(file, want, 0o600)); err != nil {
				return fmt.Errorf("uplot: %w", err)
			}
			continue
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("%s is not that of the pinned package (--vendor puts it there): %w", file, errors.Join(err, errors.New("it differs")))
		}
	}
	return nil
}

func fill(ctx context.Context, source debian.Source, modules, dir string) error {
	for _, name := range []string{"axe.min.js", "LICENSE"} {
		raw, err := os.ReadFile(filepath.Join(modules, "node_modules", "axe-core", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, strings.Replace(name, "LICENSE", "axe-LICENSE", 1)), raw, 0o600)
		}
		if err != nil {
			return fmt.Errorf("axe-core: %w", err)
		}
	}
	return source.Fill(ctx, dir, debian.Program{Package: root, What: "Chromium with its libraries and fonts", Follow: follow, Keep: keep, Path: shellPath, Script: script})
}

// follow lets libraries and fonts through, but for the C library: a program of several processes begins each by the host's own loader.
func follow(name string) bool {
	if name == "libc6" || strings.HasPrefix(name, "libc-") {
		return false
	}
	return slices.ContainsFunc([]string{"chromium", "lib", "zlib", "fontconfig-config", "fonts-"}, func(start string) bool { return strings.HasPrefix(name, start) })
}

// keep leaves out what is read by people only.
func keep(name string) bool {
	return slices.ContainsFunc([]string{"lib/", "usr/lib/", "etc/fonts/", "usr/share/fonts/", "usr/share/fontconfig/", "usr/share/chromium/"}, func(start string) bool { return strings.HasPrefix(name, start) }) &&
		path.Ext(name) != ".a"
}

// script runs Chromium with the libraries and the fonts that it came with.
const script = `#!/bin/sh
here=$(cd "$(dirname "$(readlink -f "$0")")/../root" && pwd) || exit 2
export FONTCONFIG_SYSROOT="$here" LD_LIBRARY_PATH="$here/usr/lib/chromium:$here/usr/lib/x86_64-linux-gnu:$here/lib/x86_64-linux-gnu:$here/usr/lib/x86_64-linux-gnu/pulseaudio"
exec "$here/` + program + `" "$@"
`
