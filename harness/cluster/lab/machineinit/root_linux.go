package machineinit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// buildRoot makes the machine's disk its root: programs of the host read-only below /usr, everything a machine
// writes on the disk, and kernel file systems that cannot reach the host's settings.
func buildRoot(cfg Config) error {
	steps := []struct {
		what string
		do   func(Config) error
	}{
		{"private mounts", func(Config) error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"directories", makeDirs},
		{"the host's programs", bindPrograms},
		{"/etc", writeEtc},
		{"/dev", func(c Config) error { return MountDev(filepath.Join(c.Disk, "dev")) }},
		{"/proc", func(c Config) error { return MountProc(filepath.Join(c.Disk, "proc")) }},
		{"/sys", func(c Config) error { return bindReadOnly("/sys", filepath.Join(c.Disk, "sys")) }},
		{"/run", bindRun},
		{"boot id", bindBootID},
		{"pivot", func(c Config) error { return Pivot(c.Disk) }},
		{"commands", linkCommands},
	}
	for _, s := range steps {
		if err := s.do(cfg); err != nil {
			return fmt.Errorf("root of %s: %s: %w", cfg.Name, s.what, err)
		}
	}
	return nil
}

func makeDirs(cfg Config) error {
	for _, d := range []string{
		"dev", "proc", "sys", "run", "usr", "tmp", "root", "home", "mnt", "etc/kubernetes/manifests", "etc/systemd/system", "etc/ssl/certs",
		"var/lib/kubelet", "var/lib/etcd", "var/log/pods", "var/log/containers", "var/tmp", "opt/drydock/bin", "opt/drydock/releases",
	} {
		if err := os.MkdirAll(filepath.Join(cfg.Disk, d), 0o755); err != nil {
			return err
		}
	}
	// A root that can be pivoted to must be a mount of its own.
	return unix.Mount(cfg.Disk, cfg.Disk, "", unix.MS_BIND, "")
}

// bindPrograms shares /usr and, where the host still has them apart, /bin, /sbin and /lib*.
func bindPrograms(cfg Config) error {
	if err := bindReadOnly("/usr", filepath.Join(cfg.Disk, "usr")); err != nil {
		return err
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		src, dst := "/"+name, filepath.Join(cfg.Disk, name)
		target, err := os.Readlink(src)
		switch {
		case err == nil:
			if err := os.Symlink(target, dst); err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
		case isDir(src):
			if err := os.MkdirAll(dst, 0o755); err != nil {
				return err
			}
			if err := bindReadOnly(src, dst); err != nil {
				return err
			}
		}
	}
	for _, dir := range []string{"/etc/ssl/certs", "/etc/alternatives"} {
		if !isDir(dir) {
			continue
		}
		if err := os.MkdirAll(filepath.Join(cfg.Disk, dir), 0o755); err != nil {
			return err
		}
		if err := bindReadOnly(dir, filepath.Join(cfg.Disk, dir)); err != nil {
			return err
		}
	}
	return bindReadOnly(cfg.Releases, filepath.Join(cfg.Disk, Releases))
}

func isDir(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.IsDir()
}

// bindReadOnly binds src with everything mounted below it and makes all of that read-only.
func bindReadOnly(src, dst string) error {
	if err := unix.Mount(src, dst, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", src, err)
	}
	return readOnly(dst)
}

func readOnly(path string) error {
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, attr); err != nil {
		return fmt.Errorf("make %s read-only (needs Linux 5.12): %w", path, err)
	}
	return nil
}

func writeEtc(cfg Config) error {
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	names := make([]string, 0, len(cfg.Hosts))
	for n := range cfg.Hosts {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(&hosts, "%s %s\n", cfg.Hosts[n], n)
	}
	files := map[string]string{
		"etc/hosts":         hosts.String(),
		"etc/hostname":      cfg.Name + "\n",
		"etc/resolv.conf":   "# a lab has no name server\n",
		"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
		"etc/group":         "root:x:0:\nnogroup:x:65534:\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
		"etc/os-release":    "PRETTY_NAME=\"Drydock lab machine\"\nNAME=Drydock\nID=drydock\n",
		"etc/machine-id":    strings.ReplaceAll(machineID(cfg.Name), "-", "") + "\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(cfg.Disk, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// MountDev makes a /dev with the harmless devices only: a lab started by root must not reach the host's disks.
func MountDev(dev string) error {
	if err := unix.Mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID, "mode=755,size=64k"); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		path := filepath.Join(dev, name)
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("/dev/%s: %w", name, err)
		}
	}
	// The kubelet's OOM watcher opens the kernel's log; the host's is not ours to read.
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
		"ptmx": "pts/ptmx", "kmsg": "null",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	for _, m := range []struct{ name, fs, data string }{
		{"pts", "devpts", "newinstance,ptmxmode=0666,mode=0620"},
		{"shm", "tmpfs", "mode=1777,size=64m"},
	} {
		path := filepath.Join(dev, m.name)
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fs, path, m.fs, unix.MS_NOSUID|unix.MS_NOEXEC, m.data); err != nil {
			return fmt.Errorf("/dev/%s: %w", m.name, err)
		}
	}
	return nil
}

// MountProc mounts the PID namespace's /proc with /proc/sys read-only but for the network's part: sysctls outside it
// belong to the host, and a lab started by root could write them (the kubelet tries to).
func MountProc(proc string) error {
	if err := unix.Mount("proc", proc, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	for _, name := range []string{"sys", "sysrq-trigger", "irq", "bus"} {
		path := filepath.Join(proc, name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if err := unix.Mount(path, path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s: %w", path, err)
		}
	}
	net := filepath.Join(proc, "sys/net")
	if err := unix.Mount(net, net, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", net, err)
	}
	for _, name := range []string{"sys", "sysrq-trigger", "irq", "bus"} {
		if _, err := os.Stat(filepath.Join(proc, name)); err != nil {
			continue
		}
		if err := readOnly(filepath.Join(proc, name)); err != nil {
			return err
		}
	}
	attr := &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, net, 0, attr); err != nil {
		return fmt.Errorf("make %s writable: %w", net, err)
	}
	return nil
}

func bindRun(cfg Config) error {
	run := filepath.Join(cfg.Disk, "run")
	if err := unix.Mount("tmpfs", run, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	for name, src := range map[string]string{"drydock": cfg.Run, "drydock-lab": cfg.LabRun} {
		if err := os.Mkdir(filepath.Join(run, name), 0o755); err != nil {
			return err
		}
		if err := unix.Mount(src, filepath.Join(run, name), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", src, err)
		}
	}
	program := filepath.Join(run, "drydock-program")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		return err
	}
	return unix.Mount(cfg.Program, program, "", unix.MS_BIND, "")
}

// bindBootID gives the machine a boot id of its own: the kernel's is the host's and would not change at a reboot.
func bindBootID(cfg Config) error {
	id := filepath.Join(cfg.Disk, "run/boot_id")
	if err := os.WriteFile(id, []byte(cfg.BootID+"\n"), 0o444); err != nil {
		return err
	}
	return unix.Mount(id, filepath.Join(cfg.Disk, "proc/sys/kernel/random/boot_id"), "", unix.MS_BIND, "")
}

// Pivot makes dir the root and drops the old one (pivot_root(2), "pivot_root(".", ".")").
func Pivot(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("drop the old root: %w", err)
	}
	return os.Chdir("/")
}

// linkCommands puts the words a person types on the machine's PATH.
func linkCommands(Config) error {
	for _, name := range []string{"drydock", "systemctl", "journalctl"} {
		path := filepath.Join(BinDir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink("/run/drydock-program", path); err != nil {
			return err
		}
	}
	return nil
}
