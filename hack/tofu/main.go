// Tofu builds OpenTofu and Terraform's providers of Azure, unmodified and pinned in hack/subjects, into Drydock's cache: clients of the public cloud, to be
// run against the twin. It needs Go's module proxy once and no registry of Terraform's. Run it as `make tofu`; then TOFU is bin/tofu of the directory that
// it names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/provider"
	"drydock.dev/drydock/harness/subject"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // nobody calls main
	defer stop()
	cache := flag.String("cache-dir", provider.DefaultDir("XDG_CACHE_HOME", ".cache"), "Drydock's cache directory; it is put into tofu below it")
	flag.Parse()
	if err := run(ctx, *cache); err != nil {
		tell("tofu: %v", err)
		stop()
		os.Exit(2)
	}
}

func tell(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }

func run(ctx context.Context, cache string) error {
	begun := time.Now()
	cache, err := filepath.Abs(cache) // links lead below it
	if err != nil {
		return err
	}
	dir := subject.TofuDir(cache)
	builder := subject.Builder{Source: fixtures.Modules(), Dir: filepath.Join(cache, "subjects"), Progress: phases{}}
	if err := builder.MakeTofu(ctx, dir); err != nil {
		return err
	}
	program, err := subject.Tofu(dir)
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, program, "version").CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("%s version does not work here: %s", program, out), err)
	}
	tell("%s after %s", program, time.Since(begun).Round(time.Second))
	return nil
}

// phases tells when a build begins and how it ends.
type phases struct{}

var _ cluster.Progress = phases{}

func (phases) Phase(format string, args ...any) func(error) {
	what, begun := fmt.Sprintf(format, args...), time.Now()
	tell("== %s", what)
	return func(err error) {
		if err == nil {
			tell("   done after %s", time.Since(begun).Round(time.Second))
		}
	}
}
