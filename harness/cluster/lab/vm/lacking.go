package vm

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Lacking says why no VM machine can be made of the kit in a directory with a drydock binary; empty: one can.
func Lacking(ctx context.Context, dir, program string) string {
	if err := Try(ctx, dir); err != nil {
		return err.Error()
	}
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Sprintf("%s cannot be the init of a kernel: %v", program, err)
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Sprintf("%s cannot be the init of a kernel, because it needs libraries: build it with CGO_ENABLED=0, as make build does", program)
		}
	}
	return ""
}

// Try has the kit's programs say what they are: one that cannot run here says why.
func Try(ctx context.Context, dir string) error {
	kit, err := ReadKit(dir)
	if err != nil {
		return err
	}
	for _, program := range []string{kit.QEMU, kit.FSD} {
		cmd := kit.command(ctx, program, "--version")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s does not run here: %w: %s", program, err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// command runs a program of the kit.
func (k Kit) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	if k.Loader != "" {
		program, args = k.Loader, append([]string{"--library-path", strings.Join(k.Libraries, ":"), program}, args...)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	if k.Plugins != "" {
		cmd.Env = append(os.Environ(), "QEMU_MODULE_DIR="+k.Plugins) // QEMU looks beside itself, and would find the loader (util/module.c)
	}
	return cmd
}
