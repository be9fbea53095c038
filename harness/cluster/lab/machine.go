package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/labinit"
	"drydock.dev/drydock/harness/cluster/lab/machineinit"
	"drydock.dev/drydock/harness/cluster/lab/memory"
)

// Machine is one machine of a lab.
type Machine struct {
	lab  *Lab
	name string
	role cluster.Role
	addr netip.Addr
	vm   bool // it has a kernel of its own
}

var (
	_ cluster.Machine   = (*Machine)(nil)
	_ cluster.Power     = (*Machine)(nil)
	_ cluster.Forgetter = (*Machine)(nil)
	_ cluster.SlowDisk  = (*Machine)(nil)
	_ cluster.Filler    = (*Machine)(nil)
	_ cluster.Links     = (*Machine)(nil)
	_ cluster.Shaper    = (*Machine)(nil)
	_ cluster.Freezer   = (*Machine)(nil)
	_ cluster.Pauser    = (*Machine)(nil)
	_ cluster.Killer    = (*Machine)(nil)
	_ cluster.Keeper    = (*Machine)(nil)
	_ cluster.Puller    = (*Machine)(nil)
	_ cluster.Dialer    = (*Machine)(nil)
	_ cluster.Installer = (*Machine)(nil)
	_ cluster.Terminal  = (*Machine)(nil)
	_ cluster.Memory    = (*Machine)(nil)
	_ cluster.Clock     = (*Machine)(nil)
	_ cluster.Limited   = (*Machine)(nil)
	_ cluster.Emulator  = (*Machine)(nil)
)

// Name is the machine's host name.
func (m *Machine) Name() string { return m.name }

// Role is what the machine is for.
func (m *Machine) Role() cluster.Role { return m.role }

// Addr is the machine's address on the lab's network.
func (m *Machine) Addr() netip.Addr { return m.addr }

// Lacks is what the host's kernel does not let it do, or its own.
func (m *Machine) Lacks() cluster.Lacks {
	out := maps.Clone(m.lab.lacks)
	if !m.vm {
		maps.Copy(out, Means().Only)
		return out
	}
	for _, c := range []cluster.Capability{cluster.CanLoseUnsynced, cluster.CanSlowDisk} {
		out[c] = "what is fsynced in a kernel of its own is told nobody"
	}
	return out
}

// Emulates says what stands in the place of a kernel and a disk of its own.
func (m *Machine) Emulates() map[cluster.Capability]string {
	if m.vm {
		return nil
	}
	return Means().Emulated
}

// Means are what every lab's machines have: all there is, some of it in the place of what only a host of their own could.
func Means() cluster.Means {
	return cluster.Means{Layouts: []cluster.EtcdLayout{cluster.EtcdStacked, cluster.EtcdExternal, cluster.EtcdOnly}, Never: cluster.Lacks{
		cluster.CanLoseNames: "a lab has no cluster DNS and no kube-proxy: kubeadm leaves both addons out there",
	}, Only: cluster.Lacks{
		cluster.CanSetClock: "its clock is the host's, as time namespaces do not cover CLOCK_REALTIME: give workers a kernel of their own (vmWorkers: 1)",
	}, Emulated: map[cluster.Capability]string{
		cluster.CanPanic:        fmt.Sprintf("its kernel is the host's: its PID 1 acts in the place of one that has %d MiB left when its memory begins to be filled", memory.Room>>20),
		cluster.CanLoseUnsynced: "its disk is the host's: the lab is told of calls of fsync, and a power cut takes away what they did not name",
		cluster.CanFillDisk:     "only where the cluster gives etcd a disk of its own (etcdDisk), which is in memory: the kernel itself says that it is full",
		cluster.CanSlowDisk:     "its disk is the host's: the lab lets calls of fsync and fdatasync wait before the kernel carries them out",
	}}
}

func (m *Machine) socket() string { return filepath.Join(m.lab.dir, "run", m.name, "machine.sock") }

func (m *Machine) call(ctx context.Context, op string, body, into any) error {
	if _, err := control.Call(ctx, m.socket(), op, body, into); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

// ReadFile reads a file as the machine's programs see it.
func (m *Machine) ReadFile(ctx context.Context, path string) (data []byte, err error) {
	err = m.call(ctx, "read", machineinit.FileParams{Path: path}, &data)
	return data, err
}

// WriteFile replaces a file atomically.
func (m *Machine) WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error {
	return m.call(ctx, "write", machineinit.FileParams{Path: path, Data: data, Mode: uint32(mode)}, nil)
}

// Off cuts the power.
func (m *Machine) Off(ctx context.Context) error {
	return m.lab.call(ctx, "off", labinit.MachineParams{Name: m.name}, nil)
}

// On switches the machine on and returns when it answers.
func (m *Machine) On(ctx context.Context) error {
	return m.lab.call(ctx, "on", labinit.MachineParams{Name: m.name}, nil)
}

// Reboot cuts the power and gives it back.
func (m *Machine) Reboot(ctx context.Context) error {
	if err := m.Off(ctx); err != nil {
		return err
	}
	return m.On(ctx)
}

// Powered asks the lab, not the machine.
func (m *Machine) Powered(ctx context.Context) (on bool, err error) {
	err = m.lab.call(ctx, "powered", labinit.MachineParams{Name: m.name}, &on)
	return on, err
}

// LoseUnsynced has the lab follow what is fsynced below the directories.
func (m *Machine) LoseUnsynced(ctx context.Context, dirs ...string) error {
	return m.lab.call(ctx, "loseUnsynced", labinit.UnsyncedParams{Name: m.name, Dirs: dirs}, nil)
}

// KeepUnsynced undoes it.
func (m *Machine) KeepUnsynced(ctx context.Context) error {
	return m.lab.call(ctx, "keepUnsynced", labinit.MachineParams{Name: m.name}, nil)
}

// FillMemory has a program of the machine take what its PID 1 counts as left.
func (m *Machine) FillMemory(ctx context.Context) error { return m.call(ctx, "fill", struct{}{}, nil) }

// FreeMemory ends it.
func (m *Machine) FreeMemory(ctx context.Context) error { return m.call(ctx, "free", struct{}{}, nil) }

// Console is a VM's serial console, and of another machine the log of its PID 1, which acts in the place of a kernel.
func (m *Machine) Console(context.Context) ([]byte, error) {
	file := filepath.Join("logs", m.name+".log")
	if m.vm {
		file = labinit.ConsoleFile(m.name)
	}
	raw, err := os.ReadFile(filepath.Join(m.lab.dir, file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: console: %w", m.name, err)
	}
	return raw, nil
}

// SlowSync has the lab let calls wait.
func (m *Machine) SlowSync(ctx context.Context, delay time.Duration, dirs ...string) error {
	return m.lab.call(ctx, "slowSync", labinit.SlowParams{Name: m.name, Delay: delay, Dirs: dirs}, nil)
}

// HealSync undoes it.
func (m *Machine) HealSync(ctx context.Context) error {
	return m.lab.call(ctx, "slowSync", labinit.SlowParams{Name: m.name}, nil)
}

// FillDisk leaves no room on the disk that etcd has of its own.
func (m *Machine) FillDisk(ctx context.Context, dir string) error {
	return m.lab.call(ctx, "fillDisk", labinit.FillParams{Name: m.name, Dir: dir, Full: true}, nil)
}

// FreeDisk gives it back.
func (m *Machine) FreeDisk(ctx context.Context, dir string) error {
	return m.lab.call(ctx, "fillDisk", labinit.FillParams{Name: m.name, Dir: dir}, nil)
}

// BootID is the machine's own.
func (m *Machine) BootID(ctx context.Context) (string, error) {
	return cluster.KernelBootID(ctx, m)
}

// Cut drops packets at the lab's end of the machines' cables, where no machine can undo it: also those of pods, whatever addresses they have, and of IPv6.
func (m *Machine) Cut(ctx context.Context, way cluster.Way, peers ...netip.Addr) error {
	return m.lab.call(ctx, "cut", labinit.CutParams{Name: m.name, Way: way, Peers: peers}, nil)
}

// HealLinks removes all cuts.
func (m *Machine) HealLinks(ctx context.Context) error {
	return m.lab.call(ctx, "heal", labinit.MachineParams{Name: m.name}, nil)
}

// Dropped counts the packets the cuts have dropped.
func (m *Machine) Dropped(ctx context.Context) (n uint64, err error) {
	err = m.lab.call(ctx, "dropped", labinit.MachineParams{Name: m.name}, &n)
	return n, err
}

// Shape makes the machine's links worse at the lab's end of its cable: for what pods send and IPv6 too. It stays so while the machine is off.
func (m *Machine) Shape(ctx context.Context, s cluster.Shape) error {
	return m.lab.call(ctx, "shape", labinit.ShapeParams{Name: m.name, Shape: s}, nil)
}

// Unshape undoes it.
func (m *Machine) Unshape(ctx context.Context, what cluster.Shaping) error {
	return m.lab.call(ctx, "unshape", labinit.UnshapeParams{Name: m.name, What: what}, nil)
}

// Shaped counts the packets of a shaped link.
func (m *Machine) Shaped(ctx context.Context, what cluster.Shaping) (n cluster.Shaped, err error) {
	err = m.lab.call(ctx, "shaped", labinit.UnshapeParams{Name: m.name, What: what}, &n)
	return n, err
}

func (m *Machine) signal(ctx context.Context, process string, sig syscall.Signal) (n int, err error) {
	err = m.call(ctx, "signal", machineinit.SignalParams{Process: process, Signal: int(sig)}, &n)
	return n, err
}

// Freeze stops the processes of that name.
func (m *Machine) Freeze(ctx context.Context, process string) error {
	n, err := m.signal(ctx, process, syscall.SIGSTOP)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: no process named %q to freeze", m.name, process)
	}
	return err
}

// Thaw lets them go on.
func (m *Machine) Thaw(ctx context.Context, process string) error {
	_, err := m.signal(ctx, process, syscall.SIGCONT)
	return err
}

// State is the state letter of the first process of that name.
func (m *Machine) State(ctx context.Context, process string) (s string, err error) {
	err = m.call(ctx, "state", machineinit.SignalParams{Process: process}, &s)
	return s, err
}

// Pause stops all that runs there.
func (m *Machine) Pause(ctx context.Context) error { return m.call(ctx, "pause", nil, nil) }

// Resume lets it go on.
func (m *Machine) Resume(ctx context.Context) error { return m.call(ctx, "resume", nil, nil) }

// Paused reports whether all of it is stopped.
func (m *Machine) Paused(ctx context.Context) (is bool, err error) {
	err = m.call(ctx, "paused", nil, &is)
	return is, err
}

// Kill kills the processes of that name.
func (m *Machine) Kill(ctx context.Context, process string) (int, error) {
	return m.signal(ctx, process, syscall.SIGKILL)
}

// Hold leaves a file that the process runtime and the service manager look for before they start a program.
func (m *Machine) Hold(ctx context.Context, process string) (cluster.Holding, error) {
	return cluster.HeldStarts, m.WriteFile(ctx, machineinit.HeldDir+"/"+process, nil, 0o644)
}

// Release removes it.
func (m *Machine) Release(ctx context.Context, process string) error {
	_, err := m.Exec(ctx, cluster.Command{Args: []string{"rm", "-f", machineinit.HeldDir + "/" + process}})
	return err
}

// Replace keeps a file beside what takes its place.
func (m *Machine) Replace(ctx context.Context, path string, data []byte) error {
	return cluster.ReplaceFile(ctx, m, path, data)
}

// PutBack undoes it.
func (m *Machine) PutBack(ctx context.Context, path string) error {
	return cluster.PutBackFile(ctx, m, path)
}

// RefusePulls leaves a file that the process runtime looks for before it pulls.
func (m *Machine) RefusePulls(ctx context.Context) error {
	return m.WriteFile(ctx, machineinit.PullsHeld, nil, 0o644)
}

// AllowPulls removes it.
func (m *Machine) AllowPulls(ctx context.Context) error {
	_, err := m.Exec(ctx, cluster.Command{Args: []string{"rm", "-f", machineinit.PullsHeld}})
	return err
}

// SkewClock has the machine's PID 1 set the clock of its kernel.
func (m *Machine) SkewClock(ctx context.Context, by time.Duration) error {
	return m.call(ctx, "skew", machineinit.ClockParams{By: by}, nil)
}

// RightClock has it put that right.
func (m *Machine) RightClock(ctx context.Context) error { return m.call(ctx, "unskew", nil, nil) }

// Dial connects from the machine itself.
func (m *Machine) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := control.DialThrough(ctx, m.socket(), network, addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.name, err)
	}
	return conn, nil
}

// Install links the programs of a cached release into the machine's PATH; it acts on the disk, so the machine may be off. A link that
// the machine has put in the way is followed on its disk and not out of it. Images are the cache itself: the runtime has those of every release in it.
func (m *Machine) Install(_ context.Context, product, version string, programs ...string) (err error) {
	if len(programs) == 0 {
		entries, err := os.ReadDir(filepath.Join(m.lab.provider.Store.Root(), product, version))
		if err != nil {
			return fmt.Errorf("%s: install %s %s: %w", m.name, product, version, err)
		}
		for _, e := range entries {
			programs = append(programs, e.Name())
		}
	}
	disk, err := os.OpenRoot(filepath.Join(m.lab.dir, "disks", m.name))
	if err != nil {
		return fmt.Errorf("%s: install: %w", m.name, err)
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	bin := strings.TrimPrefix(machineinit.BinDir, "/")
	if err := disk.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("%s: install: %w", m.name, err)
	}
	for _, p := range programs {
		link, tmp := filepath.Join(bin, p), filepath.Join(bin, "."+p)
		_, err := os.Stat(filepath.Join(m.lab.provider.Store.Root(), product, version, p))
		if err == nil {
			_ = disk.Remove(tmp) // of an install that was killed
			err = disk.Symlink(filepath.Join(machineinit.Releases, product, version, p), tmp)
		}
		if err == nil {
			err = disk.Rename(tmp, link) // at once: a program is never missing
		}
		if err != nil {
			return fmt.Errorf("%s: install %s %s: %w", m.name, p, version, err)
		}
	}
	return nil
}
