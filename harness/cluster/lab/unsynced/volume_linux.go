package unsynced

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// volume is what a disk would hold after a power cut, of some of its directories.
type volume struct {
	disk  *os.Root
	store string   // the directory where contents are kept that are durable
	dirs  []string // relative to the disk
	tops  []inode  // of dirs
	nodes map[inode]*node
	fault error // the first call that could not be followed: what is durable is not known any more
}

// inode is a file or directory, whatever it is called.
type inode struct{ dev, ino uint64 }

// node is what is durable of one.
type node struct {
	pin   *os.File // O_PATH: as long as it is open the kernel gives the inode's number to nobody else
	mode  fs.FileMode
	names map[string]inode // of a directory
	link  string           // of a symbolic link
}

// remember takes all that is in the directories for durable.
func remember(disk, store string, dirs []string) (_ *volume, err error) {
	v := &volume{store: store, dirs: dirs, nodes: map[inode]*node{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.forget())
		}
	}()
	if err := errors.Join(os.RemoveAll(store), os.MkdirAll(store, 0o700)); err != nil {
		return nil, err
	}
	if v.disk, err = os.OpenRoot(disk); err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		top, err := v.disk.OpenFile(dir, unix.O_DIRECTORY, 0)
		if err != nil {
			return nil, err
		}
		defer func() { _ = top.Close() }()
		i, err := v.find(int(top.Fd()), ".")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		v.tops = append(v.tops, i)
	}
	return v, v.syncAll()
}

// forget lets everything go but what is on the disk.
func (v *volume) forget() error {
	var errs []error
	for _, n := range v.nodes {
		errs = append(errs, n.pin.Close())
	}
	if v.disk != nil {
		errs = append(errs, v.disk.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(v.store))...)
}

// find knows what a name in a directory is.
func (v *volume) find(dir int, name string) (inode, error) {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return inode{}, err
	}
	i, _, err := v.know(os.NewFile(uintptr(fd), name))
	return i, err
}

// know makes a node of what is met for the first time: nothing of it is durable but what it is. It takes the pin, or closes it when there is one.
func (v *volume) know(pin *os.File) (inode, *node, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(pin.Fd()), &st); err != nil {
		return inode{}, nil, errors.Join(err, pin.Close())
	}
	i := inode{st.Dev, st.Ino}
	if n, ok := v.nodes[i]; ok {
		return i, n, pin.Close()
	}
	n := &node{pin: pin, mode: fs.FileMode(st.Mode & 0o777)}
	v.nodes[i] = n
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		n.mode |= fs.ModeDir
		n.names = map[string]inode{}
	case unix.S_IFREG:
		return i, n, os.WriteFile(v.kept(i), nil, 0o600)
	case unix.S_IFLNK:
		n.mode |= fs.ModeSymlink
		buf := make([]byte, unix.PathMax)
		size, err := unix.Readlinkat(int(pin.Fd()), "", buf)
		if err != nil {
			return i, n, err
		}
		n.link = string(buf[:size])
	default: // sockets and the like mean nothing on a disk
		n.mode |= fs.ModeIrregular
	}
	return i, n, nil
}

func (v *volume) kept(i inode) string {
	return filepath.Join(v.store, fmt.Sprintf("%d-%d", i.dev, i.ino))
}

// sync makes durable what an open file or directory holds now.
func (v *volume) sync(i inode, n *node) (err error) {
	switch {
	case n.mode.IsDir():
		_, err = v.syncNames(n)
		return err
	case !n.mode.IsRegular():
		return nil
	}
	src, err := reopen(n.pin, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(v.kept(i), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(mirror(dst, src), dst.Close())
}

// syncNames makes a directory's names durable.
func (v *volume) syncNames(n *node) (map[string]inode, error) {
	dir, err := reopen(n.pin, os.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	n.names = map[string]inode{}
	for _, name := range names {
		i, err := v.find(int(dir.Fd()), name)
		if errors.Is(err, unix.ENOENT) { // gone meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		n.names[name] = i
	}
	return n.names, nil
}

// syncAll makes everything in the directories durable, as sync(2) and the kernel's writeback do.
func (v *volume) syncAll() error {
	seen := map[inode]bool{}
	todo := append([]inode{}, v.tops...)
	for len(todo) > 0 {
		i := todo[0]
		todo = todo[1:]
		if seen[i] {
			continue
		}
		seen[i] = true
		n := v.nodes[i]
		if !n.mode.IsDir() {
			if err := v.sync(i, n); err != nil {
				return err
			}
			continue
		}
		names, err := v.syncNames(n)
		if err != nil {
			return err
		}
		for _, child := range names {
			todo = append(todo, child)
		}
	}
	return nil
}

// here reports whether the file system is one that the directories are on: what is fsynced elsewhere is not kept.
func (v *volume) here(dev uint64) bool {
	for _, t := range v.tops {
		if t.dev == dev {
			return true
		}
	}
	return false
}

// lose gives the directories on the disk what is durable and nothing else. No program of the machine runs any more.
func (v *volume) lose() error {
	if v.fault != nil {
		return fmt.Errorf("what was fsynced could not be followed, and nothing is lost: %w", v.fault)
	}
	built := map[inode]bool{}
	for k, dir := range v.dirs {
		tree := filepath.Join(v.store, "tree")
		if err := v.build(tree, v.tops[k], built); err != nil {
			return err
		}
		if err := v.replace(dir, tree); err != nil {
			return err
		}
	}
	return nil
}

// replace puts a tree in the place of a directory on the disk, without following what the machine may have put on the way to it.
func (v *volume) replace(dir, tree string) error {
	parent, err := v.disk.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer func() { _ = parent.Close() }()
	at, err := parent.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = at.Close() }()
	if err := parent.RemoveAll(filepath.Base(dir)); err != nil {
		return err
	}
	if err := unix.Renameat(unix.AT_FDCWD, tree, int(at.Fd()), filepath.Base(dir)); err != nil {
		return fmt.Errorf("put %s back: %w", dir, err)
	}
	return nil
}

// build makes a node with all that is below it. A directory that was moved and has a durable name at either place is at one of them.
func (v *volume) build(at string, i inode, built map[inode]bool) error {
	n := v.nodes[i]
	switch {
	case n.mode&fs.ModeSymlink != 0:
		return os.Symlink(n.link, at)
	case n.mode.IsRegular():
		return errors.Join(os.Link(v.kept(i), at), os.Chmod(at, n.mode.Perm()))
	case !n.mode.IsDir() || built[i]:
		return nil
	}
	built[i] = true
	if err := os.Mkdir(at, 0o700); err != nil {
		return err
	}
	for name, child := range n.names {
		if err := v.build(filepath.Join(at, name), child, built); err != nil {
			return err
		}
	}
	return os.Chmod(at, n.mode.Perm())
}
