package staging

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Off runs the inventory's command, which cuts the power of the machine from outside it: no timer on the machine could give it back.
func (m *Machine) Off(ctx context.Context) error {
	if err := m.begin(); err != nil {
		return err
	}
	m.way.close()
	return m.command(ctx, m.host.PowerOff)
}

// onWithin is how long a machine may take to boot until it lets us in.
const onWithin = 10 * time.Minute

// On runs the other command and returns when the machine lets us in.
func (m *Machine) On(ctx context.Context) error {
	if err := m.command(ctx, m.host.PowerOn); err != nil {
		return err
	}
	defer m.way.open()
	return cluster.Await(ctx, m.name+" on", cluster.Wait{For: onWithin, Every: time.Second}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, connectWithin)
		defer cancel()
		_, err := m.script(ctx, "true")
		return err
	})
}

// command runs one of the inventory's programs on this host.
func (m *Machine) command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s: %w: %s", m.name, cluster.ErrUnsupported, m.found.lacks[cluster.CanPower])
	}
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %q on this host: %w: %s", m.name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Reboot cuts the power and gives it back.
func (m *Machine) Reboot(ctx context.Context) error { return errors.Join(m.Off(ctx), m.On(ctx)) }

// BootID is the kernel's.
func (m *Machine) BootID(ctx context.Context) (string, error) { return cluster.KernelBootID(ctx, m) }

// poweredWithin is how long a machine that runs may take to let us in.
const poweredWithin = 5 * time.Second

// Powered reports whether the machine lets us in: that of all there is can be seen from outside it.
func (m *Machine) Powered(ctx context.Context) (bool, error) {
	look, cancel := context.WithTimeout(ctx, poweredWithin)
	defer cancel()
	_, err := m.script(look, "true")
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return err == nil, nil
}
