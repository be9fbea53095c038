package machineinit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/process"
	"drydock.dev/drydock/harness/cluster/lab/runtime"
	"drydock.dev/drydock/harness/cluster/lab/unit"
	"drydock.dev/drydock/harness/wholefile"
)

// machine answers the control socket.
type machine struct {
	cfg     Config
	table   *process.Table
	units   *unit.Manager
	clock   *clock // nil: it is its host's
	runtime *runtime.Server
	memory  interface {
		fill(ctx context.Context, _ none) (any, error)
		free(ctx context.Context, _ none) (any, error)
	}
}

type none struct{}

func (m *machine) handlers() map[string]control.Handler {
	out := map[string]control.Handler{
		"exec":   m.exec,
		"dial":   control.Dial,
		Ping:     control.Simple(func(context.Context, none) (any, error) { return nil, nil }),
		"read":   control.Simple(func(_ context.Context, p FileParams) (any, error) { return os.ReadFile(p.Path) }),
		"write":  control.Simple(func(_ context.Context, p FileParams) (any, error) { return nil, writeFile(p) }),
		"signal": control.Simple(func(_ context.Context, p SignalParams) (any, error) { return signalNamed(p) }),
		"state":  control.Simple(func(_ context.Context, p SignalParams) (any, error) { return stateOf(p.Process), nil }),
		"unit":   control.Simple(m.unit),
		"pause":  control.Simple(func(ctx context.Context, _ none) (any, error) { return nil, pause(ctx) }),
		"resume": control.Simple(func(context.Context, none) (any, error) { return nil, resume() }),
		"paused": control.Simple(func(context.Context, none) (any, error) { return len(going()) == 0, nil }),
		"fill":   control.Simple(m.memory.fill),
		"free":   control.Simple(m.memory.free),
		"shutdown": control.Simple(func(ctx context.Context, _ none) (any, error) {
			return nil, errors.Join(m.units.StopAll(ctx), m.runtime.StopAll(ctx))
		}),
	}
	if m.clock != nil {
		out["skew"] = control.Simple(func(_ context.Context, p ClockParams) (any, error) { return nil, m.clock.skew(p.By) })
		out["unskew"] = control.Simple(func(context.Context, none) (any, error) { return nil, m.clock.right() })
	}
	return out
}

// exec runs a program on the passed streams and waits for it; when the caller hangs up, the program's group is killed.
func (m *machine) exec(ctx context.Context, req *control.Request) (any, []*os.File, error) {
	var p ExecParams
	if err := req.Decode(&p); err != nil {
		return nil, nil, err
	}
	if len(p.Args) == 0 || len(req.Files) != 3 {
		return nil, nil, fmt.Errorf("exec: %d arguments and %d streams", len(p.Args), len(req.Files))
	}
	cmd := exec.Command(p.Args[0], p.Args[1:]...) //nolint:noctx // killed as a group below
	cmd.Env, cmd.Dir = append(environment(), p.Env...), "/root"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = req.Files[0], req.Files[1], req.Files[2]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !p.TTY, Setsid: p.TTY, Setctty: p.TTY}
	if err := m.table.Start(cmd); err != nil {
		return ExecResult{Code: -1, Reason: err.Error()}, nil, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer stop()
	err := m.table.Wait(cmd)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return ExecResult{}, nil, nil
	case errors.As(err, &exit):
		return ExecResult{Code: exit.ExitCode(), Reason: exit.Error()}, nil, nil
	default:
		return ExecResult{Code: -1, Reason: err.Error()}, nil, nil
	}
}

func writeFile(p FileParams) error {
	if err := os.MkdirAll(filepath.Dir(p.Path), 0o755); err != nil {
		return err
	}
	return wholefile.WriteBytes(p.Path, fs.FileMode(p.Mode), p.Data)
}

// signalNamed signals every process of that name and answers how many there were.
func signalNamed(p SignalParams) (int, error) {
	found := process.Named(p.Process)
	for _, f := range found {
		if err := signalOne(f, syscall.Signal(p.Signal)); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

func stateOf(name string) string {
	for _, f := range process.Named(name) {
		return f.State
	}
	return ""
}

var unitVerbs = []string{"start", "stop", "restart", "kill", "enable", "disable", "status", "daemon-reload"} //nolint:gochecknoglobals // a constant list

// unit does what systemctl asks and answers the unit's status.
func (m *machine) unit(ctx context.Context, p UnitParams) (any, error) {
	name := strings.TrimSuffix(p.Name, ".service")
	var err error
	switch p.Verb {
	case "start":
		err = m.units.Start(name)
	case "stop":
		err = m.units.Stop(ctx, name)
	case "restart":
		if err = m.units.Stop(ctx, name); err == nil {
			err = m.units.Start(name)
		}
	case "kill":
		err = m.units.Signal(name, syscall.Signal(p.Signal))
	case "enable":
		err = m.units.Enable(name)
	case "disable":
		err = m.units.Disable(name)
	case "status":
	case "daemon-reload": // unit files are read at every start
		return nil, nil
	default:
		return nil, fmt.Errorf("unknown verb %q; known: %s", p.Verb, strings.Join(slices.Sorted(slices.Values(unitVerbs)), ", "))
	}
	if err != nil {
		return nil, err
	}
	return m.units.Status(name)
}
