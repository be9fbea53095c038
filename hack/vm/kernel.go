package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"drydock.dev/drydock/hack/debian"
	"drydock.dev/drydock/harness/cluster/lab/vm"
)

// wanted are the modules that a machine loads: its devices and file system, then what pods and a cluster's programs ask of a kernel.
func wanted() []string {
	return []string{"virtio_pci", "virtio_net", "virtiofs", "virtio_rng", "veth", "bridge", "overlay", "nf_tables", "nft_ct", "nft_limit", "nft_numgen"}
}

// debianKernel unpacks the kernel that the package depends on, which is only a name for the newest.
func (w want) debianKernel(ctx context.Context, x *debian.Index, dir string, kit *vm.Kit) error {
	packages, err := x.Closure(w.kernelOf, func(name string) bool { return strings.HasPrefix(name, "linux-image-") })
	if err != nil {
		return err
	}
	p := packages[len(packages)-1]
	w.tell("getting a kernel")
	own := filepath.Join(dir, "kernel.tmp")
	if err := x.Unpack(ctx, p, own, func(name string) bool {
		return strings.HasPrefix(name, "boot/vmlinuz-") || strings.HasPrefix(name, "lib/modules/") && (path.Ext(name) == ".ko" || path.Base(name) == "modules.builtin")
	}); err != nil {
		return err
	}
	images, _ := filepath.Glob(filepath.Join(own, "boot/vmlinuz-*"))
	trees, _ := filepath.Glob(filepath.Join(own, "lib/modules/*"))
	if len(images) != 1 || len(trees) != 1 {
		return fmt.Errorf("package %s has %d kernels and %d trees of modules, and should have one of each", p.Name, len(images), len(trees))
	}
	if err := takeKernel(images[0], trees[0], dir, kit); err != nil {
		return err
	}
	kit.From = append(kit.From, p.Name+" "+p.Version)
	return os.RemoveAll(own)
}

func (w want) ownKernel(dir string, kit *vm.Kit) error {
	kit.From = append(kit.From, w.kernel)
	return takeKernel(w.kernel, w.modules, dir, kit)
}

// takeKernel copies a kernel and, in the order they are to be loaded, those of its modules that are wanted. Without a tree of modules all is built in.
func takeKernel(image, tree, dir string, kit *vm.Kit) error {
	kit.Kernel = kernelFile
	if err := copyFile(image, filepath.Join(dir, kernelFile)); err != nil {
		return err
	}
	if tree == "" {
		return nil
	}
	order, err := loadOrder(tree, wanted())
	if err != nil {
		return err
	}
	for i, m := range order {
		to := filepath.Join(modulesDir, fmt.Sprintf("%02d-%s", i, filepath.Base(m)))
		if err := copyFile(m, filepath.Join(dir, to)); err != nil {
			return err
		}
		kit.Modules = append(kit.Modules, to)
	}
	return nil
}

func copyFile(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return errors.Join(err, out.Close())
}

// underscored is a module's name as the kernel has it, whichever way its file is spelled.
func underscored(name string) string { return strings.ReplaceAll(name, "-", "_") }

// loadOrder are the files of the modules with those they depend on before them. What is built into the kernel needs no file.
func loadOrder(tree string, names []string) (order []string, err error) {
	builtin, err := os.ReadFile(filepath.Join(tree, "modules.builtin"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	in := map[string]bool{}
	for line := range strings.Lines(string(builtin)) {
		in[underscored(strings.TrimSuffix(path.Base(strings.TrimSpace(line)), ".ko"))] = true
	}
	files := map[string]string{}
	if err := filepath.WalkDir(tree, func(p string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(p) == ".ko" {
			files[underscored(strings.TrimSuffix(d.Name(), ".ko"))] = p
		}
		return err
	}); err != nil {
		return nil, err
	}
	var add func(name string) error
	add = func(name string) error {
		file, ok := files[name]
		switch {
		case ok && slices.Contains(order, file), !ok && in[name]:
			return nil
		case !ok:
			return fmt.Errorf("the kernel of %s has no module %s (a compressed one must be unpacked first)", tree, name)
		}
		needs, err := dependsOn(file)
		for _, n := range needs {
			err = errors.Join(err, add(n))
		}
		order = append(order, file)
		return err
	}
	for _, n := range names {
		if err := add(n); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// dependsOn reads what a module says of itself ("depends=" in .modinfo, scripts/mod/modpost.c of Linux).
func dependsOn(file string) (out []string, err error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer func() { _ = f.Close() }()
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("%s is no module: it has no .modinfo", file)
	}
	raw, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for field := range strings.SplitSeq(string(raw), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok && list != "" {
			for n := range strings.SplitSeq(list, ",") {
				out = append(out, underscored(n))
			}
		}
	}
	return out, nil
}
