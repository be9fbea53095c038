package kind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// saveFailure keeps the logs of a cluster that did not come up.
func (p *Provider) saveFailure(ctx context.Context, c *Cluster) error {
	dir := filepath.Join(p.StateDir, "failed", c.record.Topology.Name)
	if len(c.machines) == 0 { // not known yet: kind's names are
		for _, m := range c.record.Topology.Machines() {
			c.machines = append(c.machines, &Machine{cluster: c, name: m.Name, role: m.Role, inside: &namespace{docker: p.cli(), container: m.Name}})
		}
	}
	if err := errors.Join(os.RemoveAll(dir), c.CollectLogs(ctx, dir)); err != nil {
		return err
	}
	return fmt.Errorf("its logs are kept in %s", dir)
}

// CollectLogs copies the pods' and containers' logs of the nodes, also of one that is off, and the journal of those that answer.
func (c *Cluster) CollectLogs(ctx context.Context, dir string, machines ...string) error {
	var errs []error
	for _, m := range c.machines {
		if len(machines) == 0 || slices.Contains(machines, m.name) {
			errs = append(errs, m.collectLogs(ctx, filepath.Join(dir, m.name)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	return nil
}

func (m *Machine) collectLogs(ctx context.Context, dir string) (err error) {
	_, there, err := m.docker().inspect(ctx, m.name)
	if err != nil || !there {
		return err
	}
	to, err := cluster.OpenLogDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	add := func(name, said string) error { return to.Add(name, int64(len(said)), strings.NewReader(said)) }
	said, err := m.docker().out(ctx, "logs", m.name)
	if err == nil {
		err = add("container.log", said)
	}
	for _, unit := range []string{"kubelet", "containerd"} {
		r, jerr := m.Exec(ctx, cluster.Command{Args: []string{"journalctl", "--no-pager", "--output", cluster.JournalFormat, "--unit", unit}})
		if jerr == nil { // one that is off has its journal in memory that is gone
			err = errors.Join(err, add(unit+".log", r.Stdout))
		}
	}
	return errors.Join(err, m.copyLogs(ctx, "/var/log/pods", to))
}

// copyLogs unpacks a directory of the node; a node without it has none.
func (m *Machine) copyLogs(ctx context.Context, from string, to *cluster.LogDir) (err error) {
	read, write := io.Pipe()
	go func() {
		var complaints strings.Builder
		err := m.docker()(ctx, streams{nil, write, &complaints}, "cp", m.name+":"+from, "-")
		if err != nil && strings.Contains(complaints.String(), "Could not find the file") {
			err = nil
		}
		write.CloseWithError(err)
	}()
	defer func() { err = errors.Join(err, read.Close()) }()
	return to.Unpack(read)
}
