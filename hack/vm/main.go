// Vm gets what a lab's machines with a kernel of their own are made of: a kernel with its modules, and QEMU, from packages of Debian that it downloads
// and unpacks into Drydock's cache. It installs nothing and needs no root. Run it as `make vm`, or with your own kernel or QEMU as
// `go run ./hack/vm --kernel FILE --modules DIR --qemu FILE`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"drydock.dev/drydock/hack/debian"
	"drydock.dev/drydock/harness/cluster/lab/vm"
	"drydock.dev/drydock/harness/provider"
)

// want is what the user asked for.
type want struct {
	dir              string
	again            bool
	source           debian.Source
	kernel, modules  string
	qemu, virtiofsd  string
	say              io.Writer
	begun            time.Time
	kernelOf, qemuOf string // packages
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // nobody calls main
	defer stop()
	w := want{say: os.Stderr, begun: time.Now(), kernelOf: "linux-image-cloud-amd64", qemuOf: "qemu-system-x86"}
	flag.StringVar(&w.dir, "dir", filepath.Join(provider.DefaultDir("XDG_CACHE_HOME", ".cache"), "vm"), "where to put it: vm below Drydock's cache directory")
	flag.BoolVar(&w.again, "again", false, "get it anew although it is there")
	w.source.Tell = w.tell
	w.source.Flags(flag.CommandLine, "; its QEMU must come with virtiofsd, as until 7.2")
	flag.StringVar(&w.kernel, "kernel", "", "a bzImage of your own instead of Debian's")
	flag.StringVar(&w.modules, "modules", "", "the directory of its modules (/lib/modules/VERSION); none: all that is needed is built in")
	flag.StringVar(&w.qemu, "qemu", "", "a qemu-system-x86_64 of this host instead of Debian's, below /usr")
	flag.StringVar(&w.virtiofsd, "virtiofsd", "/usr/lib/qemu/virtiofsd", "the virtiofsd that goes with --qemu, below /usr")
	flag.Parse()
	if err := w.run(ctx); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "vm: %v\n", err)
		stop()
		os.Exit(2)
	}
}

func (w want) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(w.say, "%s\n", fmt.Sprintf(format, args...))
}

// run makes the kit and tries it.
func (w want) run(ctx context.Context) error {
	if _, err := vm.ReadKit(w.dir); err == nil && !w.again && w.kernel == "" && w.qemu == "" {
		w.tell("it is there already, in %s (--again gets it anew)", w.dir)
		return nil
	}
	var kit vm.Kit
	err := debian.Fresh(w.dir, func(fresh string) (err error) {
		if kit, err = w.fill(ctx, fresh); err != nil {
			return err
		}
		return kit.Write(fresh)
	})
	if err != nil {
		return err
	}
	if err := vm.Try(ctx, w.dir); err != nil {
		return err
	}
	w.tell("in %s after %s: %s", w.dir, time.Since(w.begun).Round(time.Second), strings.Join(kit.From, ", "))
	return nil
}

// fill gets kernel and QEMU, each from where it was asked for.
func (w want) fill(ctx context.Context, dir string) (kit vm.Kit, err error) {
	var idx *debian.Index
	if w.kernel == "" || w.qemu == "" {
		if idx, err = w.source.Index(ctx); err != nil {
			return kit, err
		}
	}
	if w.kernel != "" {
		err = w.ownKernel(dir, &kit)
	} else {
		err = w.debianKernel(ctx, idx, dir, &kit)
	}
	if err != nil {
		return kit, err
	}
	if w.qemu != "" {
		kit.QEMU, kit.FSD, kit.From = w.qemu, w.virtiofsd, append(kit.From, w.qemu)
		for _, path := range []string{w.qemu, w.virtiofsd} {
			if _, err := os.Stat(path); err != nil || !strings.HasPrefix(path, "/usr/") {
				return kit, fmt.Errorf("a program of this host must be below /usr, which is all of it that a lab shows: %s: %w", path, errors.Join(err))
			}
		}
		return kit, nil
	}
	err = w.debianQEMU(ctx, idx, dir, &kit)
	return kit, err
}
