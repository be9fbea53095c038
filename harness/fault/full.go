package fault

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// diskFull leaves no room on the disk that a member has of its own, and has something written that needs some. etcd ends when it cannot write, and at every
// start again, until there is room.
type diskFull struct{}

// roomAtMost is how much of a full disk may be free: a file that etcd removes when it starts gives a little back.
const roomAtMost = cluster.Size(64 << 10)

// largeValue needs pages that the database does not have. What is left of a page takes small ones for a while, and etcd's log has its room beforehand.
const largeValue = cluster.Size(1 << 20)

func (*diskFull) Inject(ctx context.Context, e *Env, machines []string) error {
	err := capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, d cluster.Filler) error {
		return d.FillDisk(ctx, etcd.DataDir)
	})
	if err != nil {
		return err
	}
	c, err := e.Etcd.Client(ctx, asked(e, machines))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	// Of no quorum, or by a victim that ends first, there is no answer, and what is written need not have been acknowledged.
	_ = put(ctx, c, fillKey, strings.Repeat("x", int(largeValue)), look)
	return nil
}

func (*diskFull) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, d cluster.Filler) error {
		return d.FreeDisk(ctx, etcd.DataDir)
	})
}

// Effective: the machine's kernel says that its disk has no room, the member's own log that for this reason it could not write, and it answers nobody.
func (*diskFull) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	status := statuses(ctx, e)
	for _, name := range machines {
		room, err := roomOn(ctx, e, name)
		if err != nil {
			return nil, err
		}
		if room > roomAtMost {
			return nil, fmt.Errorf("the disk of the member on %s has %s free", name, room)
		}
		if status[name].Error == "" {
			return nil, fmt.Errorf("the member on %s still answers", name)
		}
		said, err := saidOf(ctx, e, name)
		if err != nil {
			return nil, err
		}
		out = append(out, saw("kernel of "+name, "%s is free in %s", room, etcd.DataDir), saw("log of the member on "+name, "%s", said),
			saw("etcd status", "the member on %s does not answer: %s", name, status[name].Error))
	}
	return others(ctx, e, machines, out)
}

// roomOn is what is free where a member has its data, as statfs(2) says on its machine.
func roomOn(ctx context.Context, e *Env, name string) (cluster.Size, error) {
	m, err := e.Cluster.Machine(name)
	if err != nil {
		return 0, err
	}
	res, err := m.Exec(ctx, cluster.Command{Args: []string{"stat", "--file-system", "--format=%a %S", etcd.DataDir}})
	if err != nil {
		return 0, err
	}
	var blocks, size int64
	if _, err := fmt.Sscan(res.Stdout, &blocks, &size); err != nil {
		return 0, fmt.Errorf("%s: what is free in %s: %q: %w", name, etcd.DataDir, res.Stdout, err)
	}
	return cluster.Size(blocks * size), nil
}

// noSpaceLeft is what write(2) says of a disk without room.
const noSpaceLeft = "no space left on device"

// noRoomSaid is how old what a member says of its disk may be: one that cannot start tries again every few seconds.
const noRoomSaid = 15 * time.Second

// saidOf is what the member has said of a disk without room.
func saidOf(ctx context.Context, e *Env, name string) (string, error) {
	lines, _, err := observe.LogLines(ctx, e.Cluster, name, etcd.Program, noSpaceLeft)
	if err != nil {
		return "", err
	}
	said := noRoom(strings.Join(lines, "\n"), time.Now().Add(-noRoomSaid))
	if said == "" {
		return "", errors.New("the log of the member on " + name + " has no word of a disk without room")
	}
	return said, nil
}

// noRoom finds the last line of etcd's log, in JSON, with the error of write(2) that there is no space, unless it is older.
func noRoom(log string, since time.Time) (said string) {
	for lines := bufio.NewScanner(strings.NewReader(log)); lines.Scan(); {
		line := lines.Text()
		at := strings.Index(line, "{")
		if at < 0 || !strings.Contains(line, noSpaceLeft) {
			continue
		}
		var l struct {
			TS    string `json:"ts"`
			Msg   string `json:"msg"`
			Error string `json:"error"`
		}
		if json.Unmarshal([]byte(line[at:]), &l) != nil {
			continue
		}
		if t, err := time.Parse("2006-01-02T15:04:05.999999Z0700", l.TS); err != nil || t.Before(since) {
			continue
		}
		said = strings.TrimSuffix(l.Msg+": "+l.Error, ": ")
	}
	return said
}

// Recovered: all members agree, and the victims have room; then what was written to need some is removed, which a member that is back need not store first.
func (*diskFull) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	out, err := agreed(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, name := range machines {
		room, err := roomOn(ctx, e, name)
		if err != nil {
			return nil, err
		}
		if room <= roomAtMost {
			return nil, fmt.Errorf("the disk of the member on %s has %s free", name, room)
		}
		out = append(out, saw("kernel of "+name, "%s is free in %s", room, etcd.DataDir))
	}
	c, err := e.Etcd.Client(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	if _, err := c.Delete(ctx, fillKey); err != nil {
		return nil, fmt.Errorf("remove %s: %w", fillKey, err)
	}
	return out, nil
}
