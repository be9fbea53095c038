package staging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/cluster"
)

// What is copied of a machine's logs: a cluster that exists has had a long time to write them.
const (
	logsWithin = 2 * time.Minute
	// logsScript writes an archive of the services' last lines and of the control plane's pods' logs of the last two hours.
	logsScript = `t=$(mktemp -d); trap 'rm -rf "$t"' EXIT; mkdir "$t/units"
for u in kubelet containerd crio etcd; do journalctl -u $u -n 5000 --no-pager -o ` + cluster.JournalFormat + ` >"$t/units/$u.log" 2>/dev/null || true; [ -s "$t/units/$u.log" ] || rm -f "$t/units/$u.log"; done
cd /var/log && find pods/kube-system_* -type f -name '*.log' -mmin -120 -size -16384k >"$t/list" 2>/dev/null || true
tar -cf - -C "$t" units -C /var/log -T "$t/list" 2>/dev/null || true`
)

// CollectLogs copies the machines' logs to dir/MACHINE.
func (c *Cluster) CollectLogs(ctx context.Context, dir string, machines ...string) error {
	var errs []error
	for _, m := range c.machines {
		if len(machines) == 0 || slices.Contains(machines, m.name) {
			errs = append(errs, m.collect(ctx, filepath.Join(dir, m.name)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	return nil
}

func (m *Machine) collect(ctx context.Context, dir string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, logsWithin)
	defer cancel()
	to, err := cluster.OpenLogDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	r, w := io.Pipe()
	unpacked := make(chan error, 1)
	go func() {
		err := to.Unpack(r)
		_, _ = io.Copy(io.Discard, r) // of an archive that is none
		unpacked <- err
	}()
	code, err := m.run(ctx, cluster.Command{Args: []string{"/bin/sh", "-c", logsScript}}, func(s *ssh.Session) { s.Stdout = w })
	_ = w.Close()
	if err == nil && code != 0 {
		err = fmt.Errorf("%s: the logs' script exited %d", m.name, code)
	}
	return errors.Join(err, <-unpacked)
}
