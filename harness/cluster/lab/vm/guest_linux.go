package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/machineinit"
)

// MachineCommand is how the init of a VM machine calls itself again once it has the machine's root.
const MachineCommand = "vm-machine"

// configFD is where machineinit.Init reads what the machine is told.
const configFD = 3

// Guest is what the kernel of a VM machine runs first: it loads the modules, makes the shared directory the root and begins anew from there, so that
// nothing of the first root stays in memory. When it ends, the kernel panics and says so on its console.
func Guest() error {
	if err := mountKernel(""); err != nil {
		return err
	}
	modules, err := filepath.Glob("/" + modulesDir + "/*")
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	for _, m := range modules {
		if err := load(m); err != nil {
			return fmt.Errorf("machine: module %s: %w", filepath.Base(m), err)
		}
	}
	told, err := os.Open("/" + configFile)
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	if told.Fd() != configFD {
		err = unix.Dup3(int(told.Fd()), configFD, 0)
	} else {
		_, err = unix.FcntlInt(configFD, unix.F_SETFD, 0) // it stays open over exec
	}
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	for _, path := range append(modules, "/"+initFile, "/"+configFile) {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("machine: %w", err)
		}
	}
	if err := switchRoot(); err != nil {
		return fmt.Errorf("machine: its root: %w", err)
	}
	return unix.Exec("/drydock", []string{"drydock", MachineCommand}, []string{"PATH=" + machineinit.Path, "TERM=linux"})
}

func load(module string) error {
	f, err := os.Open(module)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := unix.FinitModule(int(f.Fd()), "", 0); !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil // it is there
}

// mountKernel mounts what the kernel itself shows.
func mountKernel(root string) error {
	for _, m := range []struct{ at, fs string }{{"/proc", "proc"}, {"/sys", "sysfs"}, {"/dev", "devtmpfs"}} {
		if err := os.MkdirAll(root+m.at, 0o755); err != nil {
			return fmt.Errorf("machine: %s: %w", m.at, err)
		}
		if err := unix.Mount(m.fs, root+m.at, m.fs, unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
			return fmt.Errorf("machine: %s: %w", m.at, err)
		}
	}
	return nil
}

// switchRoot makes the shared directory the root. The first root cannot be left for good, only be covered (pivot_root(2), NOTES).
func switchRoot() error {
	const root = "/root"
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(shareTag, root, "virtiofs", 0, ""); err != nil {
		return fmt.Errorf("virtiofs: %w", err)
	}
	if err := mountKernel(root); err != nil {
		return err
	}
	if err := unix.Mount("cgroup2", root+"/sys/fs/cgroup", "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("cgroups: %w", err)
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return os.Chdir("/")
}

// Machine is the init of a VM machine from then on: the same as any machine's of the lab, but for the ways in and out.
func Machine(ctx context.Context) error {
	return machineinit.Init(ctx, machineinit.Outside{Lab: askLab, Owner: answerOwner})
}

// askLab has what programs ask on the lab's socket asked of the process that holds the machine.
func askLab() error {
	link, err := netlink.LinkByName(holderCard)
	if err != nil {
		return fmt.Errorf("network: %s: %w", holderCard, err)
	}
	addr, err := netlink.ParseAddr(machineAddr + "/24")
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("network: %s: %w", holderCard, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("network: %s up: %w", holderCard, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: machineinit.LabSocket, Net: "unix"})
	if err != nil {
		return fmt.Errorf("machine: its lab's socket: %w", err)
	}
	relay := control.Relay{Connect: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(holderAddr, strconv.Itoa(labPort)))
	}}
	go func() { _ = relay.Serve(l, context.Background) }() //nolint:forbidigo // it ends with the machine
	return nil
}

// answerOwner serves the machine's control operations where only the process that holds the machine reaches it.
func answerOwner(handlers map[string]control.Handler) error {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(machineAddr), Port: controlPort})
	if err != nil {
		return fmt.Errorf("machine: control: %w", err)
	}
	go func() { _ = control.ServeStreams(l, handlers) }()
	return nil
}
