package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"drydock.dev/drydock/hack/debian"
	"drydock.dev/drydock/harness/cluster/lab/vm"
)

// Places in the kit.
const (
	rootDir    = "root" // QEMU with its libraries
	modulesDir = "modules"
	kernelFile = "kernel"
	program    = "usr/bin/qemu-system-x86_64"
	daemon     = "usr/lib/qemu/virtiofsd"
	triplet    = "x86_64-linux-gnu"
	plugins    = "usr/lib/" + triplet + "/qemu"
	plugin     = plugins + "/accel-tcg-x86_64.so"
	loader     = "ld-linux-x86-64.so.2"
)

func libraryDirs() []string { return []string{"lib/" + triplet, "usr/lib/" + triplet} }

func firmwareDirs() []string { return []string{"usr/share/qemu", "usr/share/seabios"} }

// debianQEMU unpacks QEMU with every library it comes with, the C library among them: nothing of it is the host's.
func (w want) debianQEMU(ctx context.Context, x *debian.Index, dir string, kit *vm.Kit) error {
	packages, err := x.Closure(w.qemuOf, func(name string) bool {
		return strings.HasPrefix(name, "lib") || strings.HasPrefix(name, "qemu-system-") || name == "seabios" || strings.HasPrefix(name, "zlib")
	})
	if err != nil {
		return err
	}
	w.tell("getting QEMU with its libraries, %d packages", len(packages))
	root := filepath.Join(dir, rootDir)
	for _, p := range packages {
		if err := x.Unpack(ctx, p, root, partOfQEMU); err != nil {
			return err
		}
	}
	if err := prune(root); err != nil {
		return err
	}
	in := func(names ...string) (out []string) {
		for _, n := range names {
			out = append(out, path.Join(rootDir, n))
		}
		return out
	}
	kit.QEMU, kit.FSD, kit.Plugins = in(program)[0], in(daemon)[0], in(plugins)[0]
	kit.Libraries, kit.Firmware = in(libraryDirs()...), in(firmwareDirs()...)
	kit.Loader = in(libraryDirs()[0] + "/" + loader)[0]
	kit.From = append(kit.From, w.qemuOf+" "+packages[0].Version)
	return nil
}

func partOfQEMU(name string) bool {
	switch dir := path.Dir(name); {
	case name == program, name == daemon, name == plugin:
		return true
	case slices.Contains(firmwareDirs(), dir):
		return path.Ext(name) == ".bin"
	case dir == plugins:
		return false
	default:
		return strings.Contains(path.Base(name), ".so") && slices.ContainsFunc(libraryDirs(), func(d string) bool { return strings.HasPrefix(dir, d) })
	}
}

// prune removes every library that no program needs, and says which one is needed and not there.
func prune(root string) error {
	where := map[string]string{} // a library's name -> its file
	for _, d := range libraryDirs() {
		err := filepath.WalkDir(filepath.Join(root, d), func(p string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && p != filepath.Join(root, plugin) {
				where[e.Name()] = p
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	needed := map[string]bool{loader: true}
	for next := []string{filepath.Join(root, program), filepath.Join(root, daemon), filepath.Join(root, plugin)}; len(next) > 0; next = next[1:] {
		f, err := elf.Open(next[0])
		if err != nil {
			return err
		}
		libs, err := f.ImportedLibraries()
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", next[0], err)
		}
		for _, l := range libs {
			if needed[l] {
				continue
			}
			needed[l] = true
			at, ok := where[l]
			if !ok {
				return fmt.Errorf("%s needs %s, which is in none of the packages", next[0], l)
			}
			next = append(next, at)
		}
	}
	files := map[string]bool{}
	for l := range needed {
		real, err := filepath.EvalSymlinks(where[l])
		if err != nil {
			return err
		}
		files[where[l]], files[real] = true, true
	}
	for _, p := range where {
		if !files[p] {
			if err := os.Remove(p); err != nil {
				return err
			}
			continue
		}
		// It is found in one of the two directories, wherever its package has it.
		if to := filepath.Join(root, libraryDirs()[0], filepath.Base(p)); filepath.Dir(p) != filepath.Dir(to) {
			if err := os.Rename(p, to); err != nil {
				return err
			}
		}
	}
	return nil
}
