package labinit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/vishvananda/netlink"

	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/machineinit"
	"drydock.dev/drydock/harness/cluster/lab/process"
	"drydock.dev/drydock/harness/cluster/lab/unsynced"
	"drydock.dev/drydock/harness/cluster/lab/vm"
)

// switchboard knows which machines are on.
type switchboard struct {
	dir   string // the lab's state directory as the host calls it: for messages
	table *process.Table
	log   io.Writer

	mu    sync.Mutex
	cfg   Config
	turns map[string]*sync.Mutex // one a machine: its switch is turned by one caller at a time
	on    map[string]*running
	boots map[string]*time.Timer // of machines that have panicked and will boot
	slow  map[string]SlowParams  // disks that are
	disks map[string]*os.File    // of etcd's own, by machine

	shaped map[string]shaping
}

func newSwitchboard(dir string, cfg Config, table *process.Table, log io.Writer) *switchboard {
	s := &switchboard{
		dir: dir, cfg: cfg, table: table, log: log, turns: map[string]*sync.Mutex{}, on: map[string]*running{}, boots: map[string]*time.Timer{}, slow: map[string]SlowParams{},
		shaped: map[string]shaping{}, disks: map[string]*os.File{},
	}
	for _, m := range cfg.Machines {
		s.turns[m.Name] = &sync.Mutex{}
	}
	return s
}

func (s *switchboard) set(name string, r *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r == nil {
		delete(s.on, name)
		return
	}
	s.on[name] = r
}

func (s *switchboard) get(name string) *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on[name]
}

type running struct {
	cmd   *exec.Cmd
	route *net.UnixListener
	tells *os.File           // where the machine hands over what tells of its fsyncs
	last  *os.File           // its last word, if it has one
	syncs *unsynced.Recorder // of them
	done  chan struct{}      // closed when the kernel has ended everything in the machine, and its disk is as a power cut leaves it
	lost  error              // what went wrong with that; to be read when done is closed
}

func (s *switchboard) machine(name string) (Machine, *sync.Mutex, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.cfg.Machines {
		if m.Name == name {
			return m, s.turns[name], nil
		}
	}
	return Machine{}, nil, fmt.Errorf("no machine %q", name)
}

// powerOn starts the machine's PID 1 and returns when it serves its control socket.
func (s *switchboard) powerOn(_ context.Context, name string) error {
	m, turn, err := s.machine(name)
	if err != nil {
		return err
	}
	turn.Lock()
	defer turn.Unlock()
	s.bootsNot(name)
	return s.start(m)
}

// start is powerOn, for who has the turn.
func (s *switchboard) start(m Machine) (err error) {
	name := m.Name
	if s.get(name) != nil {
		return nil
	}
	if err := s.insertDisk(name); err != nil {
		return fmt.Errorf("machine %s: %w", name, err)
	}
	r, ready, params, err := s.launch(m)
	if err != nil {
		return err
	}
	defer func() { _ = ready.Close() }()
	defer func() {
		if err != nil {
			_ = r.cmd.Process.Kill()
			<-r.done
			_ = unplug(m)
		}
	}()
	if err := plug(m, netlink.NsPid(r.cmd.Process.Pid)); err != nil {
		_ = params.Close()
		return err
	}
	if err := json.NewEncoder(params).Encode(s.params(m)); err != nil {
		return fmt.Errorf("machine %s: parameters: %w", name, err)
	}
	if err := params.Close(); err != nil {
		return fmt.Errorf("machine %s: parameters: %w", name, err)
	}
	s.follow(m, r)
	said, err := io.ReadAll(ready)
	if err != nil || string(said) != machineinit.Ready {
		return fmt.Errorf("machine %s did not start: %s (its log: %s)", name, said, filepath.Join(s.dir, logFile(name)))
	}
	s.set(name, r)
	return s.reshape(m)
}

func logFile(name string) string { return filepath.Join("logs", name+".log") }

// Sockets of a machine, below the lab's directory: the one its owner asks, and the one where the lab answers its programs.
func machineSocket(name string) string { return filepath.Join("run", name, "machine.sock") }
func routeSocket(name string) string   { return filepath.Join("run", name, "route.sock") }

func (s *switchboard) params(m Machine) machineinit.Config {
	return machineinit.Config{
		Name: m.Name, Role: m.Role, Addr: m.Addr, Gateway: Gateway, PodNet: PodNet,
		BootID:    uuid.NewString(),
		Disk:      filepath.Join(home, "disks", m.Name),
		LabSocket: filepath.Join(home, routeSocket(m.Name)),
		Program:   program,
		Releases:  releases,
		Hosts:     s.hosts(),
		TellSyncs: s.tellSyncs(),
		Kit:       kit,
		Console:   filepath.Join(home, ConsoleFile(m.Name)),
	}
}

func (s *switchboard) hosts() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	for _, m := range s.cfg.Machines {
		out[m.Name] = m.Addr
	}
	return out
}

// launch forks the machine into namespaces of its own. It waits for its parameters, so that its cable can be plugged first.
func (s *switchboard) launch(m Machine) (r *running, ready, params *os.File, err error) {
	paramsRead, params, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("machine %s: %w", m.Name, err)
	}
	ready, readyWrite, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("machine %s: %w", m.Name, err)
	}
	defer func() { _ = paramsRead.Close(); _ = readyWrite.Close() }()
	owner, asks, err := sockets(m)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("machine %s: %w", m.Name, err)
	}
	defer func() { _ = owner.Close() }()
	log, err := os.OpenFile(logFile(m.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("machine %s: %w", m.Name, err), asks.Close())
	}
	defer func() { _ = log.Close() }()
	tells, theirs, err := pair()
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("machine %s: %w", m.Name, err), asks.Close())
	}
	defer func() { _ = theirs.Close() }()
	last, lastWrite, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("machine %s: %w", m.Name, err), asks.Close(), tells.Close())
	}
	defer func() { _ = lastWrite.Close() }()
	run := "machine-init"
	if m.VM {
		run = vm.HostCommand
	}
	cmd := exec.Command(program, run) //nolint:noctx // ended by powerOff
	cmd.Args[0] = "drydock"
	cmd.ExtraFiles = []*os.File{paramsRead, readyWrite, owner, theirs, lastWrite}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"PATH=" + machineinit.Path}
	// The user namespace of its own takes from the machine's root all power over the lab's mounts, sockets and processes.
	self := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		UidMappings: self, GidMappings: self,
	}
	if err := s.table.Start(cmd); err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("machine %s: %w", m.Name, err), asks.Close(), tells.Close(), last.Close())
	}
	r = &running{cmd: cmd, route: asks, tells: tells, last: last, syncs: &unsynced.Recorder{}, done: make(chan struct{})}
	go s.watch(m, r)
	return r, ready, params, nil
}

// sockets makes the machine's sockets. The machine itself answers on the first and cannot move it: it is not in its file system.
func sockets(m Machine) (*os.File, *net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(machineSocket(m.Name)), 0o700); err != nil {
		return nil, nil, err
	}
	own, err := listen(machineSocket(m.Name))
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = own.Close() }()
	file, err := own.File()
	if err != nil {
		return nil, nil, err
	}
	l, err := listen(routeSocket(m.Name))
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	go func() { _ = control.Serve(l, forMachine(m)) }()
	return file, l, nil
}

// forMachine is all that a machine may ask of its lab.
func forMachine(m Machine) map[string]control.Handler {
	return map[string]control.Handler{machineinit.Route: control.Simple(func(_ context.Context, p machineinit.RouteParams) (any, error) { return nil, route(p.CIDR, m) })}
}

// watch notices a machine that ends, by powerOff or by itself.
func (s *switchboard) watch(m Machine, r *running) {
	err := s.table.Wait(r.cmd)
	_ = r.route.Close()
	r.lost = r.syncs.Lose()
	panicked, reboot := r.lastWord()
	close(r.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on[m.Name] == r { // powerOff would have removed it: this machine ended by itself
		delete(s.on, m.Name)
		_ = unplug(m)
		_, _ = fmt.Fprintf(s.log, "machine %s ended by itself: %v\n", m.Name, errors.Join(err, r.lost))
		if panicked && reboot != 0 {
			s.bootsAfter(m, time.Duration(max(0, reboot))*time.Second)
		}
	}
}

// powerOff is a power cut: the cable is pulled first, so that no closing socket can say goodbye, then PID 1 is killed and with it
// everything in its PID namespace.
func (s *switchboard) powerOff(ctx context.Context, name string) error {
	m, turn, err := s.machine(name)
	if err != nil {
		return err
	}
	turn.Lock()
	defer turn.Unlock()
	s.bootsNot(name)
	r := s.get(name)
	s.set(name, nil)
	if r == nil {
		return nil
	}
	doubt := r.syncs.Doubt(r.cmd.Process.Pid)
	if err := unplug(m); err != nil {
		return err
	}
	if err := r.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("machine %s: kill: %w", name, err)
	}
	select {
	case <-r.done:
		if err := errors.Join(doubt, r.lost); err != nil {
			return fmt.Errorf("machine %s is off, and has not lost just what was not fsynced: %w", name, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("machine %s: waiting for its processes to end: %w", name, ctx.Err())
	case <-time.After(30 * time.Second):
		return fmt.Errorf("machine %s: processes remain 30s after SIGKILL", name)
	}
}

func (s *switchboard) powered(name string) (bool, error) {
	if _, _, err := s.machine(name); err != nil {
		return false, err
	}
	return s.get(name) != nil, nil
}
