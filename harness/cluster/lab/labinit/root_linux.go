package labinit

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster/lab/machineinit"
)

// The lab's root: of the host there is nothing in it but this, its programs and its harmless devices.
const (
	home     = "/lab"      // the lab's state directory
	releases = "/releases" // the release cache, read-only
	kit      = "/vm"       // what VM machines are made of, read-only; not in every lab
	program  = "/drydock"  // the drydock binary the lab was started with, read-only
)

// tree is a mount that is attached nowhere yet, and where it shall be.
type tree struct {
	fd int
	at string
}

// clone copies the mount of a path, with everything mounted below it.
func clone(path, at string, readOnly bool) (tree, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return tree{}, fmt.Errorf("root: clone the mount of %s: %w", path, err)
	}
	if readOnly {
		attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, attr); err != nil {
			_ = unix.Close(fd)
			return tree{}, fmt.Errorf("root: make %s read-only (needs Linux 5.12): %w", path, err)
		}
	}
	return tree{fd: fd, at: at}, nil
}

// enterRoot leaves the host's file systems for a root with what machines need, so that nothing that reaches the lab's PID 1 reaches
// the host. All but the state directory is read-only there: machines inherit mounts as they are in their lab's root and cannot
// change them from the user namespace that each has of its own.
func enterRoot(dir, cache, vms string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("root: private mounts: %w", err)
	}
	var trees []tree
	defer func() {
		for _, t := range trees {
			_ = unix.Close(t.fd)
		}
	}()
	wanted, links := contents(dir, cache, vms)
	for _, w := range wanted {
		t, err := clone(w.path, w.at, w.readOnly)
		if err != nil {
			return err
		}
		trees = append(trees, t)
	}
	return assemble(trees, links)
}

// content is one path of the host in the lab's root.
type content struct {
	path, at string
	readOnly bool
}

// contents lists what is in the lab's root: mounts, and links by where they are.
func contents(dir, cache, vms string) (all []content, links map[string]string) {
	all = []content{{dir, home, false}, {cache, releases, true}, {"/sys", "/sys", true}}
	if vms != "" {
		all = append(all, content{vms, kit, true})
	}
	for _, name := range machineinit.Devices() {
		all = append(all, content{"/dev/" + name, "/dev/" + name, false})
	}
	links = map[string]string{}
	for _, path := range machineinit.HostPrograms() {
		if target, err := os.Readlink(path); err == nil {
			links[path] = target
		} else if st, err := os.Stat(path); err == nil && st.IsDir() {
			all = append(all, content{path, path, true})
		}
	}
	return all, links
}

// assemble mounts the new root where the host surely has a directory (a clone of it was taken) and makes it the root.
func assemble(trees []tree, links map[string]string) error {
	const root = "/usr"
	if err := unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=1m"); err != nil {
		return fmt.Errorf("root: tmpfs: %w", err)
	}
	for _, t := range trees {
		if err := t.attach(root); err != nil {
			return fmt.Errorf("root: %s: %w", t.at, err)
		}
	}
	for at, target := range links {
		if err := os.Symlink(target, filepath.Join(root, at)); err != nil {
			return fmt.Errorf("root: %w", err)
		}
	}
	binary, err := clone(filepath.Join(root, home, ProgramFile), program, true)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(binary.fd) }()
	if err := binary.attach(root); err != nil {
		return fmt.Errorf("root: %s: %w", program, err)
	}
	proc := filepath.Join(root, "proc")
	if err := os.Mkdir(proc, 0o555); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if err := unix.Mount("proc", proc, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("root: /proc of the lab: %w", err)
	}
	if err := machineinit.Pivot(root); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	return os.Chdir(home) // a socket's path may not exceed 107 bytes, and those of the lab are below
}

// attach mounts a tree below root, on a directory or an empty file, as the tree itself is.
func (t tree) attach(root string) error {
	at := filepath.Join(root, t.at)
	var st unix.Stat_t
	if err := unix.Fstat(t.fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
	} else {
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, nil, 0o644); err != nil {
			return err
		}
	}
	return unix.MoveMount(t.fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
}
