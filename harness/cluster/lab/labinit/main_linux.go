package labinit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/balancer"
	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/process"
)

// The files a lab inherits from the host.
const (
	ownerFD    = 3 // a pipe that ends when the owner does
	readyFD    = 4 // the lab says Ready or what went wrong
	listenerFD = 5 // the host's loopback listener for the API server, if any
	// Ready is what the lab says on readyFD when it serves its socket.
	Ready = "ready"
	// Kept is what the owner says on ownerFD when the lab is to outlive it.
	Kept = "k"
)

// Main runs the lab below its state directory until its owner ends or shutdown is asked for. It never returns nil before that.
func Main(ctx context.Context, dir string) error {
	for _, fd := range []int{ownerFD, readyFD, listenerFD} { // inherited files would be passed on to every child, and a pipe would never end
		unix.CloseOnExec(fd)
	}
	ready := os.NewFile(readyFD, "ready")
	stop, err := start(ctx, dir)
	if err != nil {
		_, _ = io.WriteString(ready, err.Error())
		return err
	}
	if _, err := io.WriteString(ready, Ready); err != nil {
		return fmt.Errorf("lab: owner is gone: %w", err)
	}
	_ = ready.Close()
	<-stop
	return nil // PID 1 ends: the kernel kills every process of the lab and drops its mounts and interfaces
}

func start(ctx context.Context, dir string) (stop <-chan struct{}, err error) {
	cfg, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	if err := enterRoot(dir, cfg.Releases, cfg.Kit); err != nil {
		return nil, err
	}
	if cfg.Trace, err = trace(); err != nil {
		return nil, err
	}
	if err := cfg.Write(home); err != nil {
		return nil, err
	}
	if err := buildNetwork(); err != nil {
		return nil, err
	}
	table := process.NewTable()
	go table.ReapOrphans(ctx)
	board := newSwitchboard(dir, cfg, table, os.Stderr)
	if err := startBalancer(ctx, cfg); err != nil {
		return nil, err
	}
	done := make(chan struct{}, 3)
	go awaitOwner(os.NewFile(ownerFD, "owner"), done)
	l, err := listen(SocketFile)
	if err != nil {
		return nil, err
	}
	go watchHome(ctx, done)
	go func() { _ = control.Serve(l, handlers(board, done)) }()
	return done, nil
}

// trace is this process's.
func trace() (t Trace, err error) {
	var st unix.Stat_t
	for name, inode := range map[string]*uint64{"pid": &t.PID, "net": &t.Net, "mnt": &t.Mount} {
		if err := unix.Stat("/proc/self/ns/"+name, &st); err != nil {
			return t, fmt.Errorf("lab: its %s namespace: %w", name, err)
		}
		*inode = st.Ino
	}
	self, ok := process.Stat(os.Getpid())
	if !ok {
		return t, errors.New("lab: it cannot see itself in /proc")
	}
	t.Start = self.Start
	return t, nil
}

// awaitOwner ends the lab with its owner, unless that has said that the lab is to be kept.
func awaitOwner(owner io.Reader, done chan<- struct{}) {
	if said, _ := io.ReadAll(owner); string(said) != Kept {
		done <- struct{}{}
	}
}

// watchHome ends a lab whose directory was removed: nobody could find it any more to end it.
func watchHome(ctx context.Context, done chan<- struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := os.Lstat(SocketFile); errors.Is(err, fs.ErrNotExist) {
			done <- struct{}{}
			return
		}
	}
}

// listen serves a socket below the lab's directory. The file stays when the listener ends: then it refuses.
func listen(file string) (*net.UnixListener, error) {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("lab: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: file, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("lab: socket %s: %w", file, err)
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}

// startBalancer serves the API endpoint inside the lab and, on the inherited listener, on the host's loopback.
func startBalancer(ctx context.Context, cfg Config) error {
	var addrs []string
	for _, name := range cfg.Topology.ControlPlaneMachines() {
		for _, m := range cfg.Machines {
			if m.Name == name {
				addrs = append(addrs, net.JoinHostPort(m.Addr, strconv.Itoa(APIPort)))
			}
		}
	}
	if len(addrs) == 0 {
		return nil
	}
	b := balancer.New(addrs, balancer.Quick())
	inside, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(Gateway, strconv.Itoa(APIPort)))
	if err != nil {
		return fmt.Errorf("lab: balancer: %w", err)
	}
	listeners := []net.Listener{inside}
	if cfg.APIPort != 0 {
		outside, err := net.FileListener(os.NewFile(listenerFD, "api"))
		if err != nil {
			return fmt.Errorf("lab: the host's listener: %w", err)
		}
		listeners = append(listeners, outside)
	}
	b.Watch(ctx)
	for _, l := range listeners {
		go func() { _ = b.Serve(ctx, l) }()
	}
	return nil
}

func handlers(s *switchboard, done chan<- struct{}) map[string]control.Handler {
	named := func(do func(ctx context.Context, name string) (any, error)) control.Handler {
		return control.Simple(func(ctx context.Context, p MachineParams) (any, error) { return do(ctx, p.Name) })
	}
	return map[string]control.Handler{
		"on":           named(func(ctx context.Context, n string) (any, error) { return nil, s.powerOn(ctx, n) }),
		"off":          named(func(ctx context.Context, n string) (any, error) { return nil, s.powerOff(ctx, n) }),
		"powered":      named(func(_ context.Context, n string) (any, error) { return s.powered(n) }),
		"remove":       control.Simple(func(ctx context.Context, p RemoveParams) (any, error) { return nil, s.remove(ctx, p) }),
		"data":         control.Simple(func(context.Context, struct{}) (any, error) { return keptData() }),
		"dropData":     named(func(_ context.Context, n string) (any, error) { return nil, s.dropData(n) }),
		"keepUnsynced": named(func(ctx context.Context, n string) (any, error) { return nil, s.keepUnsynced(ctx, n) }),
		"loseUnsynced": control.Simple(func(ctx context.Context, p UnsyncedParams) (any, error) { return nil, s.loseUnsynced(ctx, p) }),
		"fillDisk":     control.Simple(func(_ context.Context, p FillParams) (any, error) { return nil, s.fill(p) }),
		"slowSync":     control.Simple(func(_ context.Context, p SlowParams) (any, error) { return nil, s.slowSync(p) }),
		"heal":         named(func(_ context.Context, n string) (any, error) { return nil, s.healLinks(n) }),
		"dropped":      named(func(_ context.Context, n string) (any, error) { return s.dropped(n) }),
		"cut":          control.Simple(func(_ context.Context, p CutParams) (any, error) { return nil, s.cut(p) }),
		"shape":        control.Simple(func(_ context.Context, p ShapeParams) (any, error) { return nil, s.shape(p) }),
		"unshape":      control.Simple(func(_ context.Context, p UnshapeParams) (any, error) { return nil, s.unshape(p) }),
		"shaped":       control.Simple(func(_ context.Context, p UnshapeParams) (any, error) { return s.shapedPackets(p) }),
		"add":          control.Simple(func(ctx context.Context, p AddParams) (any, error) { return nil, s.add(ctx, p) }),
		"dial":         control.Dial,
		"listen":       control.Listen(net.JoinHostPort(Gateway, "0")),
		"usage": func(context.Context, *control.Request) (any, []*os.File, error) {
			return usage(), nil, nil
		},
		"shutdown": func(context.Context, *control.Request) (any, []*os.File, error) {
			done <- struct{}{}
			return nil, nil, nil
		},
	}
}

// usage sums the proportional set sizes of everything in the lab (smaps_rollup of proc(5)).
func usage() cluster.Usage {
	var u cluster.Usage
	for _, p := range process.List() {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
		if err != nil {
			continue
		}
		u.Processes++
		u.PSS += pss(string(raw))
	}
	return u
}

// pss reads the "Pss:  123 kB" line.
func pss(rollup string) uint64 {
	for line := range strings.Lines(rollup) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, _ := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
