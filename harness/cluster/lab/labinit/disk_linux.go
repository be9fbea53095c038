package labinit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
)

// A machine's disk is a directory of the host's, which is never filled. Where a topology gives etcd a disk of its own (EtcdDisk), that is a file system in
// memory of so many bytes, mounted in the lab's own namespace: it stays while its machine is off, as a disk does, and goes with the lab. Full it is when its
// size is set to what is in it: from then on the kernel itself answers ENOSPC, to whatever needs one page more, and statfs says that there is none. Nothing is
// written for that, nothing is in the way of a call, and to undo it is to set the size again, whatever has become of whoever filled it.
//
// Other ways were looked at. A seccomp notification on write(2), as there is one on fsync(2), would have every write of every program of the machine wait for
// the lab, sockets among them; on fallocate(2) and pwrite64(2) alone it would miss etcd's log. FUSE needs /dev/fuse, which is often root's. A quota needs the
// host's file system. A limit of the process (RLIMIT_FSIZE) is another error.
const etcdDir = "var/lib/etcd"

// diskFlags are of its mount.
const diskFlags = unix.MS_NOSUID | unix.MS_NODEV

func diskOf(machine string) string { return filepath.Join("disks", machine, etcdDir) }

// hasDisk reports whether a machine's etcd has a disk of its own.
func (s *switchboard) hasDisk(machine string) bool {
	t := s.cfg.Topology
	return t.EtcdDisk > 0 && slices.Contains(t.EtcdMachines(), machine)
}

// insertDisk gives the machine etcd's disk, empty, before the machine is on for the first time. Whoever is root there may later move what leads to it; so
// it is never looked for by its path again but to be unmounted.
func (s *switchboard) insertDisk(machine string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.disks[machine]; there || !s.hasDisk(machine) {
		return nil
	}
	at := diskOf(machine)
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", diskFlags, fmt.Sprintf("mode=700,size=%d", int64(s.cfg.Topology.EtcdDisk))); err != nil {
		return fmt.Errorf("etcd's disk: %w", err)
	}
	top, err := os.OpenFile(at, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return errors.Join(err, unix.Unmount(at, unix.MNT_DETACH))
	}
	s.disks[machine] = top
	return nil
}

// takeDisk takes it from a machine that is off, with all that is on it.
func (s *switchboard) takeDisk(machine string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	top, there := s.disks[machine]
	if !there {
		return nil
	}
	delete(s.disks, machine)
	err := unix.Unmount(fmt.Sprintf("/proc/self/fd/%d", top.Fd()), unix.MNT_DETACH)
	return errors.Join(err, top.Close())
}

// fillTries is how often what is on a disk may change between a look at it and the setting of its size.
const fillTries = 100

// fill leaves no room on etcd's disk, or with full unset gives it back.
func (s *switchboard) fill(p FillParams) error {
	_, turn, err := s.machine(p.Name)
	if err != nil {
		return err
	}
	turn.Lock()
	defer turn.Unlock()
	s.mu.Lock()
	top, there := s.disks[p.Name]
	s.mu.Unlock()
	if !there || filepath.Clean(p.Dir) != "/"+etcdDir {
		return fmt.Errorf("machine %s: no disk of its own is mounted at %s", p.Name, p.Dir)
	}
	at := fmt.Sprintf("/proc/self/fd/%d", top.Fd())
	if !p.Full {
		return resize(at, int64(s.cfg.Topology.EtcdDisk))
	}
	for range fillTries {
		var st unix.Statfs_t
		if err := unix.Statfs(at, &st); err != nil {
			return fmt.Errorf("machine %s: %w", p.Name, err)
		}
		// An empty one keeps a page: a size of 0 is none.
		err = resize(at, max(1, int64(st.Blocks-st.Bfree))*st.Bsize)
		if !errors.Is(err, unix.EINVAL) { // smaller than what is in it by now
			break
		}
	}
	if err != nil {
		return fmt.Errorf("machine %s: %w", p.Name, err)
	}
	return nil
}

func resize(at string, size int64) error {
	if err := unix.Mount("", at, "", unix.MS_REMOUNT|diskFlags, fmt.Sprintf("size=%d", size)); err != nil {
		return fmt.Errorf("set the size of etcd's disk to %s: %w", cluster.Size(size), err)
	}
	return nil
}
