package machineinit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// buildRoot makes the machine's disk its root. The disk comes first and everything else is placed from inside it, so that a link on
// it leads nowhere but to the disk itself, whoever planted it. What is bound from the lab's root is read-only there, and a machine has
// a user namespace of its own, where what it inherits stays as it is (mount_namespaces(7), "Restrictions on mount namespaces").
func buildRoot(cfg Config) (err error) {
	r := root{cfg: cfg}
	defer func() { err = errors.Join(err, r.close()) }()
	type step struct {
		what string
		do   func() error
	}
	steps := []step{
		{"private mounts", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"the lab's root", r.keep},
		{"the disk", func() error { return bind(cfg.Disk, cfg.Disk) }}, // a root that can be pivoted to must be a mount of its own
		{"pivot", func() error { return enter(cfg.Disk) }},
		{"directories", makeDirs},
		{"/proc", r.placeProc},
		{"the host's programs", func() error { return PlacePrograms(r.lab(), "") }},
		{"releases", func() error { return bind(r.lab()+cfg.Releases, Releases) }},
		{"/sys", func() error { return bind(r.lab()+"/sys", "/sys") }},
		{"/dev", func() error { return MountDev(r.lab()+"/dev", "/dev") }},
		{"/run", r.placeRun},
		{"drop the lab's root", leave},
		{"/etc", func() error { return writeEtc(cfg) }},
		{"commands", linkCommands},
	}
	if !cfg.OwnKernel {
		steps = append(steps, step{"boot id", func() error { return bindBootID(cfg) }}, step{"settings of the kernel", bindSysctls})
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("root of %s: %s: %w", cfg.Name, s.what, err)
		}
	}
	return nil
}

// root is what a machine holds of the lab while it makes its own root.
type root struct {
	cfg  Config
	old  *os.File // the lab's root
	proc *os.File // the machine's /proc, not placed yet
}

// keep opens what is needed behind the pivot. A new /proc is given only to who still sees one (mount_namespaces(7)).
func (r *root) keep() (err error) {
	if r.old, err = os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
		return err
	}
	fs, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := errors.Join(unix.FsconfigSetString(fs, "source", "proc"), unix.FsconfigCreate(fs)); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	r.proc = os.NewFile(uintptr(fd), "proc")
	return nil
}

func (r *root) placeProc() error {
	if err := unix.MoveMount(int(r.proc.Fd()), "", unix.AT_FDCWD, "/proc", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return err
	}
	if r.cfg.OwnKernel {
		return nil
	}
	return guardProc("/proc")
}

// lab is the path of the lab's root, behind the pivot.
func (r *root) lab() string { return fmt.Sprintf("/proc/self/fd/%d", r.old.Fd()) }

// placeRun gives the machine the drydock binary and the one socket of the lab that it may ask.
func (r *root) placeRun() error {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	if err := os.Mkdir(RunDir, 0o700); err != nil {
		return err
	}
	for dst, src := range map[string]string{Program: r.cfg.Program, LabSocket: r.cfg.LabSocket} {
		if src == "" { // no socket reaches out of a kernel
			continue
		}
		if err := Place(r.lab()+src, dst); err != nil {
			return err
		}
	}
	return nil
}

func (r *root) close() error {
	var errs []error
	for _, f := range []*os.File{r.old, r.proc} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

func makeDirs() error {
	for _, d := range []string{
		"/dev", "/proc", "/sys", "/run", "/usr", "/tmp", "/root", "/home", "/mnt", "/etc/kubernetes/manifests", "/etc/systemd/system", "/etc/ssl/certs",
		"/var/lib/kubelet", "/var/lib/etcd", "/var/log/pods", "/var/log/containers", "/var/tmp", BinDir, Releases,
	} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// HostPrograms lists what a machine shares of the host's programs: /usr and, where the host still has them apart, /bin, /sbin and /lib*.
func HostPrograms() []string {
	return []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ssl/certs", "/etc/alternatives"}
}

// PlacePrograms shows the host's programs that are below one root below another.
func PlacePrograms(from, to string) error {
	for _, path := range HostPrograms() {
		if target, err := os.Readlink(from + path); err == nil {
			if err := os.Symlink(target, to+path); err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
			continue
		}
		if _, err := os.Lstat(from + path); err != nil {
			continue
		}
		if err := Place(from+path, to+path); err != nil {
			return err
		}
	}
	return nil
}

// Place shows a directory or a file, with everything mounted below it, at another place, which it makes.
func Place(from, to string) error {
	st, err := os.Stat(from)
	if err != nil {
		return err
	}
	if st.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
		err = os.WriteFile(to, nil, 0o755)
	}
	if err != nil {
		return err
	}
	return bind(from, to)
}

// bind shows src, with everything mounted below it, at dst as well.
func bind(src, dst string) error {
	if err := unix.Mount(src, dst, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", dst, err)
	}
	return nil
}

// readOnly makes what is mounted at path, and below, read-only.
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
	}
	// Once a disk, as systemd does: a machine in the place of another of its name is another machine (machine-id(5)).
	if _, err := os.Stat("/etc/machine-id"); errors.Is(err, fs.ErrNotExist) {
		files["etc/machine-id"] = strings.ReplaceAll(uuid.NewString(), "-", "") + "\n"
	}
	for name, text := range files {
		if err := os.WriteFile("/"+name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Devices are the harmless ones.
func Devices() []string { return []string{"null", "zero", "full", "random", "urandom", "tty"} }

// MountDev makes a /dev with the harmless devices of another one and no more: a lab started by root must not reach the host's disks.
func MountDev(from, dev string) error {
	if err := unix.Mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID, "mode=755,size=64k"); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	for _, name := range Devices() {
		path := filepath.Join(dev, name)
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount(filepath.Join(from, name), path, "", unix.MS_BIND, ""); err != nil {
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

// MountProc mounts the PID namespace's /proc and guards it.
func MountProc(proc string) error {
	if err := unix.Mount("proc", proc, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	return guardProc(proc)
}

// guardProc makes /proc/sys read-only but for the network's part: sysctls outside it belong to the host, and the kubelet of a lab
// started by root would set them.
func guardProc(proc string) error {
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

// bindBootID gives the machine a boot id of its own: the kernel's is the host's and would not change at a reboot.
func bindBootID(cfg Config) error {
	const id = "/run/boot_id"
	if err := os.WriteFile(id, []byte(cfg.BootID+"\n"), 0o444); err != nil {
		return err
	}
	return unix.Mount(id, "/proc/sys/kernel/random/boot_id", "", unix.MS_BIND, "")
}

// Pivot makes dir the root and drops the old one (pivot_root(2), "pivot_root(".", ".")"). dir must be a mount.
func Pivot(dir string) error {
	if err := enter(dir); err != nil {
		return err
	}
	return leave()
}

// enter makes dir the root; the old one stays mounted over it, and so is the working directory, until leave drops it.
func enter(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	return nil
}

func leave() error {
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("drop the old root: %w", err)
	}
	return os.Chdir("/")
}

// linkCommands puts the words a person types on the machine's PATH.
func linkCommands() error {
	for _, name := range []string{"drydock", "systemctl", "journalctl"} {
		path := filepath.Join(BinDir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(Program, path); err != nil {
			return err
		}
	}
	return nil
}
