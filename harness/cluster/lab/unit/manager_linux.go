package unit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/cluster/lab/process"
)

// Manager runs services. One supervisor goroutine owns each service that is meant to run.
type Manager struct {
	Dir     string   // unit files
	RunDir  string   // drop-ins that a boot takes away
	LogDir  string   // NAME.log each
	HeldDir string   // a file NAME there keeps the program NAME from starting
	Env     []string // what every service starts with
	Table   *process.Table

	mu       sync.Mutex
	services map[string]*service
}

// Status is what `systemctl status` tells.
type Status struct {
	Name        string    `json:"name"`
	Description string    `json:"description"`
	State       string    `json:"state"` // active, activating, inactive, failed
	Enabled     bool      `json:"enabled"`
	PID         int       `json:"pid"`
	Since       time.Time `json:"since"`
	Restarts    int       `json:"restarts"`
	Last        string    `json:"last"` // how the last process ended
}

type service struct {
	file   File
	cancel context.CancelFunc // asks the supervisor to stop
	done   chan struct{}      // closed when it has

	mu     sync.Mutex // guards what follows
	status Status
}

// Start starts a service; one that runs already is left alone.
func (m *Manager) Start(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.services[name]; s != nil && s.running() {
		return nil
	}
	f, err := m.load(name)
	if err != nil {
		return err
	}
	log, err := m.openLog(name)
	if err != nil {
		return err
	}
	if f.skipped(log) {
		return log.Close()
	}
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // a service outlives the call that starts it
	s := &service{file: f, cancel: cancel, done: make(chan struct{})}
	s.status = Status{Name: name, Description: f.Description, State: "activating", Since: time.Now()}
	cmd, err := m.spawn(f, log)
	if err != nil {
		cancel()
		_ = log.Close()
		return fmt.Errorf("unit %s: %w", name, err)
	}
	s.started(cmd)
	if m.services == nil {
		m.services = map[string]*service{}
	}
	m.services[name] = s
	go m.supervise(ctx, s, cmd, log)
	return nil
}

func (m *Manager) load(name string) (File, error) { return Load(name, m.Dir, m.RunDir) }

// skipped reports whether a condition keeps the service from being started, and says so in its log. As with systemd that is no error, and nobody
// tries again.
func (f *File) skipped(log io.Writer) bool {
	why := f.Unmet()
	if why != "" {
		_, _ = fmt.Fprintf(log, "%s.service was skipped because of an unmet condition check (%s)\n", f.Name, why)
	}
	return why != ""
}

func (m *Manager) openLog(name string) (*os.File, error) {
	if err := os.MkdirAll(m.LogDir, 0o755); err != nil {
		return nil, fmt.Errorf("unit %s: log: %w", name, err)
	}
	log, err := os.OpenFile(LogPath(m.LogDir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("unit %s: log: %w", name, err)
	}
	return log, nil
}

// LogPath is the file a service's output goes to.
func LogPath(dir, name string) string { return filepath.Join(dir, name+".log") }

func (m *Manager) spawn(f File, log *os.File) (*exec.Cmd, error) {
	env := append(slices.Clone(m.Env), f.Environment...)
	argv := f.Argv(env)
	if _, err := os.Stat(filepath.Join(m.HeldDir, filepath.Base(argv[0]))); err == nil {
		argv = []string{"/bin/false"} // held down by a fault: it fails at once, and its unit says what happens then
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // stopped by signal, with a grace period
	cmd.Env, cmd.Dir = env, f.WorkingDir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, m.Table.Start(cmd)
}

// supervise waits for the process, restarts it as the unit asks, and ends it when the context does.
func (m *Manager) supervise(ctx context.Context, s *service, cmd *exec.Cmd, log *os.File) {
	defer close(s.done)
	defer func() { _ = log.Close() }()
	for {
		stopped := make(chan struct{})
		go terminate(ctx, cmd, s.file.StopTimeout, stopped)
		err := m.Table.Wait(cmd)
		close(stopped)
		// What the service forked goes with it, as KillMode=control-group would do.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if ctx.Err() != nil {
			s.ended("inactive", err)
			return
		}
		if s.file.Restart != "always" && (s.file.Restart != "on-failure" || err == nil) {
			state := "inactive"
			if err != nil {
				state = "failed"
			}
			s.ended(state, err)
			return
		}
		s.ended("activating", err)
		if cmd = m.respawn(ctx, s, log); cmd == nil {
			s.ended("inactive", err)
			return
		}
	}
}

func (m *Manager) respawn(ctx context.Context, s *service, log *os.File) *exec.Cmd {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.file.RestartAfter):
		}
		if f, err := m.load(s.file.Name); err == nil { // as after a daemon-reload: the files may have changed
			s.file = f
		}
		if s.file.skipped(log) {
			return nil
		}
		cmd, err := m.spawn(s.file, log)
		if err == nil {
			s.started(cmd)
			return cmd
		}
		s.ended("activating", err)
	}
}

// terminate asks the process to end when the context does, and insists after the grace period.
func terminate(ctx context.Context, cmd *exec.Cmd, grace time.Duration, stopped <-chan struct{}) {
	select {
	case <-stopped:
		return
	case <-ctx.Done():
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Process.Signal(syscall.SIGCONT) // a frozen process would not hear it
	select {
	case <-stopped:
	case <-time.After(grace):
		_ = cmd.Process.Kill()
	}
}

// Stop ends a service and waits for it; one that does not run is left alone.
func (m *Manager) Stop(ctx context.Context, name string) error {
	m.mu.Lock()
	s := m.services[name]
	m.mu.Unlock()
	if s == nil {
		if _, err := m.load(name); errors.Is(err, ErrNotFound) {
			return err
		}
		return nil
	}
	s.cancel()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("unit %s: stopping: %w", name, ctx.Err())
	}
}

// StopAll ends every service at once, as an orderly shutdown does.
func (m *Manager) StopAll(ctx context.Context) error {
	m.mu.Lock()
	all := make([]string, 0, len(m.services))
	for name := range m.services {
		all = append(all, name)
	}
	m.mu.Unlock()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, name := range all {
		wg.Go(func() { errs[i] = m.Stop(ctx, name) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Signal sends a signal to a service's main process.
func (m *Manager) Signal(name string, sig syscall.Signal) error {
	st, err := m.Status(name)
	if err != nil {
		return err
	}
	if st.PID == 0 {
		return fmt.Errorf("unit %s is not running", name)
	}
	return syscall.Kill(st.PID, sig)
}

// Status reads the state of a service; ErrNotFound when there is no such unit.
func (m *Manager) Status(name string) (Status, error) {
	m.mu.Lock()
	s := m.services[name]
	m.mu.Unlock()
	if s == nil {
		f, err := m.load(name)
		if errors.Is(err, ErrNotFound) {
			return Status{}, err
		}
		return Status{Name: name, Description: f.Description, State: "inactive", Enabled: m.Enabled(name)}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Enabled = m.Enabled(name)
	return st, nil
}

// Enabled reports whether the service starts with the machine.
func (m *Manager) Enabled(name string) bool {
	_, err := os.Lstat(m.wanted(name))
	return err == nil
}

// Enable makes the service start with the machine; Disable undoes it.
func (m *Manager) Enable(name string) error {
	if err := os.MkdirAll(filepath.Dir(m.wanted(name)), 0o755); err != nil {
		return fmt.Errorf("enable %s: %w", name, err)
	}
	if m.Enabled(name) {
		return nil
	}
	return os.Symlink(filepath.Join(m.Dir, name+".service"), m.wanted(name))
}

// Disable undoes Enable.
func (m *Manager) Disable(name string) error {
	if err := os.Remove(m.wanted(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("disable %s: %w", name, err)
	}
	return nil
}

func (m *Manager) wanted(name string) string {
	return filepath.Join(m.Dir, "multi-user.target.wants", name+".service")
}

// StartEnabled starts what Enable enabled, at boot.
func (m *Manager) StartEnabled() error {
	links, err := filepath.Glob(m.wanted("*"))
	if err != nil {
		return fmt.Errorf("enabled units: %w", err)
	}
	var errs []error
	for _, l := range links {
		errs = append(errs, m.Start(strings.TrimSuffix(filepath.Base(l), ".service")))
	}
	return errors.Join(errs...)
}

func (s *service) running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

func (s *service) started(cmd *exec.Cmd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.Last != "" {
		s.status.Restarts++
	}
	s.status.State, s.status.PID, s.status.Since = "active", cmd.Process.Pid, time.Now()
}

func (s *service) ended(state string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.State, s.status.PID, s.status.Since = state, 0, time.Now()
	s.status.Last = "exit status 0"
	if err != nil {
		s.status.Last = err.Error()
	}
}
