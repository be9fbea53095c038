package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/machineinit"
)

// HostCommand and GuestCommand are how drydock is called to hold a VM machine and, by its kernel, to be its init.
const (
	HostCommand  = "vm-host"
	GuestCommand = "vm-guest"
)

// bootWithin is how long a VM machine may take from its switch to an answer: about 10 s without KVM on a host with nothing else to do.
const bootWithin = 3 * time.Minute

// Host holds a VM machine: it is what PID 1 is of another machine of the lab, and inherits the same files (machineinit.Inherit). When it ends, the
// kernel ends QEMU and all that runs in it: that is the machine's power cut.
func Host(ctx context.Context) error {
	in, err := machineinit.Inherit()
	if err != nil {
		return err
	}
	life, err := hold(ctx, in)
	if err != nil {
		_, _ = io.WriteString(in.Ready, err.Error())
		return err
	}
	if _, err := io.WriteString(in.Ready, machineinit.Ready); err != nil {
		return fmt.Errorf("machine: the lab is gone: %w", err)
	}
	_ = in.Ready.Close()
	<-life.Done()
	return context.Cause(life)
}

// hold starts everything and returns when the machine answers; its life ends with the first thing that it needs, and the cause says why.
func hold(ctx context.Context, in machineinit.Inherited) (life context.Context, err error) {
	cfg := in.Config
	log, err := os.OpenFile(cfg.Console, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) // before the lab's root is left
	if err != nil {
		return nil, fmt.Errorf("machine: console: %w", err)
	}
	if err := enterHostRoot(cfg); err != nil {
		return nil, fmt.Errorf("machine %s: %w", cfg.Name, err)
	}
	kit, err := ReadKit(kitDir)
	if err != nil {
		return nil, err
	}
	if err := writeRoot(cfg, kit); err != nil {
		return nil, fmt.Errorf("machine %s: %w", cfg.Name, err)
	}
	card, mac, err := cable(cfg.Name)
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancelCause(ctx)
	c := newConsole(log, func() { end(errors.New("its kernel panicked")) })
	relay := control.Relay{Connect: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(controlPort)))
	}}
	if err := serveLab(ctx); err != nil {
		return nil, err
	}
	if err := startMachine(life, kit, card, mac, c, end); err != nil {
		return nil, err
	}
	err = cluster.Await(life, "an answer of the machine", cluster.Wait{For: bootWithin}, func(ctx context.Context) error { return relay.Ask(ctx, machineinit.Ping, struct{}{}) })
	if err != nil {
		return nil, fmt.Errorf("%w; its console ends with:\n%s", err, c.last())
	}
	c.expectPanics()
	go func() { end(relay.Serve(in.Control, c.underway)) }()
	return life, nil
}

// writeRoot makes what the kernel begins with. What the machine is told has the paths of its own first root.
func writeRoot(cfg machineinit.Config, kit Kit) error {
	cfg.Disk, cfg.Program, cfg.Releases, cfg.LabSocket, cfg.Console = "/disk", "/drydock", "/releases", "", ""
	cfg.OwnKernel, cfg.TellSyncs, cfg.BootID = true, false, ""
	told, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	return writeInitramfs(initramfs, shareDir+"/drydock", kit.Modules, told)
}

// cable brings the machine's interfaces up and joins the one that the lab has plugged in to a card.
func cable(name string) (*os.File, net.HardwareAddr, error) {
	// The cable is the machine's: this side of it must say nothing of its own.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", []byte("1"), 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("network: %w", err)
	}
	for _, n := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(n)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("network: %s: %w", n, err)
		}
	}
	card, err := wire("eth0")
	id := machineinit.MachineID(name)
	return card, net.HardwareAddr{0x52, 0x54, id[0], id[1], id[2], id[3]}, err // 52:54: locally administered, as QEMU's own are
}

// startMachine starts the two programs. What they say besides the console goes where this process's words go.
func startMachine(ctx context.Context, kit Kit, card *os.File, mac net.HardwareAddr, c *console, end context.CancelCauseFunc) error {
	files := kit.files(ctx)
	files.Stdout, files.Stderr = os.Stderr, os.Stderr
	if err := start(files, "virtiofsd", end); err != nil {
		return err
	}
	if err := cluster.Await(ctx, "virtiofsd's socket", cluster.Wait{For: 10 * time.Second, Every: 20 * time.Millisecond}, func(context.Context) error {
		_, err := os.Stat(fsdSocket)
		return err
	}); err != nil {
		return err
	}
	said, words, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("machine: console: %w", err)
	}
	qemu := kit.machine(ctx, card, mac)
	qemu.Stdout, qemu.Stderr = words, os.Stderr
	go c.follow(said)
	return errors.Join(start(qemu, "QEMU", end), words.Close(), card.Close())
}

func start(cmd *exec.Cmd, name string, end context.CancelCauseFunc) error {
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		end(fmt.Errorf("%s has ended: %w", name, err))
	}()
	return nil
}

// serveLab answers what the machine asks of its lab, on this process's loopback, which the machine reaches.
func serveLab(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(labPort)))
	if err != nil {
		return fmt.Errorf("machine: its lab's answers: %w", err)
	}
	go func() {
		_ = control.ServeStreams(l, map[string]control.Handler{
			machineinit.Route: control.Simple(func(ctx context.Context, p machineinit.RouteParams) (any, error) {
				_, err := control.Call(ctx, labSocket, machineinit.Route, p, nil)
				return nil, err
			}),
		})
	}()
	return nil
}

// enterHostRoot leaves the lab's root for one with what QEMU needs and no more: of the machines it reaches the one it is.
func enterHostRoot(cfg machineinit.Config) error {
	const root = "/sys" // a directory of the lab's root that is not needed here
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("root: private mounts: %w", err)
	}
	if err := unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	for _, d := range []string{workDir, shareDir + "/proc", shareDir + "/sys", shareDir + "/dev", shareDir + "/run"} {
		if err := os.MkdirAll(root+d, 0o755); err != nil {
			return fmt.Errorf("root: %w", err)
		}
	}
	binds := []struct{ from, to string }{
		{cfg.Kit, kitDir}, {cfg.Disk, shareDir + "/disk"}, {cfg.Program, shareDir + "/drydock"}, {cfg.Releases, shareDir + "/releases"}, {cfg.LabSocket, labSocket},
	}
	for _, dev := range machineinit.Devices() {
		binds = append(binds, struct{ from, to string }{"/dev/" + dev, "/dev/" + dev})
	}
	for _, b := range binds {
		if err := machineinit.Place(b.from, root+b.to); err != nil {
			return fmt.Errorf("root: %w", err)
		}
	}
	for _, to := range []string{root, root + shareDir} { // a QEMU that is the host's own, and the machine
		if err := machineinit.PlacePrograms("", to); err != nil {
			return fmt.Errorf("root: %w", err)
		}
	}
	if err := os.Mkdir(root+"/proc", 0o555); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if err := machineinit.MountProc(root + "/proc"); err != nil {
		return fmt.Errorf("root: /proc: %w", err)
	}
	if err := machineinit.Pivot(root); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	return nil
}
