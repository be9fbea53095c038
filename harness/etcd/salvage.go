package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Remains are what can be read of a member's data on its machine, whether the member runs or not.
type Remains struct {
	Log      Log   `json:"log"`
	Revision int64 `json:"revision"` // at least: of its database, which is behind the log by what was written in the last moments
}

// readWithin is how long a database may take to be read through.
const readWithin = 2 * time.Minute

// Remains reads a member's data and touches nothing. An error with a Log is of the database alone.
func (a *Access) Remains(ctx context.Context, machine string) (r Remains, err error) {
	m, err := a.cluster.Machine(machine)
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	dir, err := fetchLog(ctx, m, logDir)
	if err != nil {
		return r, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if r.Log, err = ReadLog(dir); err != nil {
		return r, fmt.Errorf("%s: %w", machine, err)
	}
	r.Revision, err = a.revision(ctx, m)
	return r, err
}

// revision is that of a machine's database. A process that runs has it locked, and tells of it on a page that needs no quorum.
func (a *Access) revision(ctx context.Context, m cluster.Machine) (int64, error) {
	asked, cancel := context.WithTimeout(ctx, refusalWithin*10)
	defer cancel()
	if v, err := a.Metric(asked, m.Name(), "etcd_debugging_mvcc_current_revision"); err == nil {
		return int64(v), nil
	}
	out, err := cluster.Shell(ctx, m, "timeout 100 etcdutl snapshot status --write-out=json "+DataDir+"/member/snap/db") // it checks the file first
	var exit *cluster.ExecError
	if errors.As(err, &exit) && exit.Code == timedOut { // a process has it locked, and its page cannot be read from here
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("its database: %w", err)
	}
	var status struct{ Revision int64 }
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return 0, fmt.Errorf("%s: its database: %w: %q", m.Name(), err, out)
	}
	return status.Revision, nil
}

// timedOut is timeout(1)'s exit code.
const timedOut = 124

// salvageDir is on a machine while the data of its stopped member is made a snapshot, and goes afterwards.
const salvageDir = "/var/lib/drydock-salvage"

// Tools are the programs that Salvage and Restore run on a machine.
func Tools() []string { return []string{"etcd", "etcdctl", "etcdutl"} }

// Salvage makes a snapshot of all that a stopped member has on its disk, in a file here, and touches no data of it. The database alone lacks what was
// written last (etcd puts it there ten times a second, and before that into its log only), and etcd's own way to begin from the log (--force-new-cluster)
// drops the entries that the log was not told to be acknowledged, which the last ones often are. So on a copy they are said to be, and an etcd of that
// copy, which nobody but this can reach, gives the snapshot. What nobody was told to be written may be there then, as it may after any crash.
func Salvage(ctx context.Context, m cluster.Machine, file string) (l Log, err error) {
	if _, err := cluster.Shell(ctx, m, beginSalvage); err != nil {
		return l, err
	}
	defer func() {
		_, end := cluster.Shell(context.WithoutCancel(ctx), m, "rm -rf "+salvageDir)
		err = errors.Join(err, end)
	}()
	if l, err = acknowledge(ctx, m, salvageDir+"/data/member/wal"); err != nil {
		return l, err
	}
	if _, err := cluster.Shell(ctx, m, fmt.Sprintf(salvageScript, m.Name())); err != nil {
		return l, fmt.Errorf("the etcd that should tell what %s has: %w", m.Name(), err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return l, fmt.Errorf("snapshot: %w", err)
	}
	if err := fetch(ctx, m, salvageDir+"/snapshot.db", file+".new"); err != nil {
		return l, err
	}
	if err := CheckSnapshot(file + ".new"); err != nil {
		return l, err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return l, fmt.Errorf("snapshot: %w", err)
	}
	return l, nil
}

// acknowledge has all entries of a log on a machine said to be acknowledged, and says how far it goes.
func acknowledge(ctx context.Context, m cluster.Machine, dir string) (Log, error) {
	here, err := fetchLog(ctx, m, dir)
	if err != nil {
		return Log{}, err
	}
	defer func() { _ = os.RemoveAll(here) }()
	l, err := ReadLog(here)
	if err != nil {
		return l, fmt.Errorf("%s: %w", m.Name(), err)
	}
	changed, err := acknowledgeAll(here)
	if err != nil {
		return l, fmt.Errorf("%s: %w", m.Name(), err)
	}
	for _, f := range changed {
		if err := send(ctx, m, f, path.Join(dir, filepath.Base(f))); err != nil {
			return l, err
		}
	}
	return l, nil
}

// beginSalvage ends what an interrupted one has left, and copies the data.
const beginSalvage = `cd /
if test -e ` + salvageDir + `/pid; then
  pid=$(cat ` + salvageDir + `/pid)
  if grep -qs ` + salvageDir + ` "/proc/$pid/cmdline"; then kill -9 "$pid"; fi
fi
rm -rf ` + salvageDir + `
mkdir -p ` + salvageDir + `/data; chmod 700 ` + salvageDir + ` ` + salvageDir + `/data
cp -a ` + DataDir + `/member ` + salvageDir + `/data/member`

// salvageScript runs an etcd of the copy, by another name than etcd's: who holds that down on the machine is not to end it. It listens on sockets in a
// directory that is root's, and has no quota: what was acknowledged is to be taken again. Its first linearizable read is after all entries before it.
const salvageScript = `cd ` + salvageDir + `
ln -sf "$(command -v etcd)" drydock-salvage
./drydock-salvage --name=%[1]s --data-dir=` + salvageDir + `/data --force-new-cluster --quota-backend-bytes=-1 --log-level=warn \
  --listen-client-urls=unix://` + salvageDir + `/client --advertise-client-urls=http://127.0.0.1:1 --listen-peer-urls=unix://` + salvageDir + `/peer >log 2>&1 &
pid=$!
echo $pid >pid
trap 'kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null || true' EXIT
ask="etcdctl --endpoints=unix://` + salvageDir + `/client"
tries=0
until $ask --command-timeout=5s get /drydock/nothing >/dev/null 2>asked; do
  tries=$((tries+1))
  if ! kill -0 $pid 2>/dev/null; then echo "it has ended:" >&2; tail -n 5 log >&2; exit 1; fi
  if test $tries -ge 600; then echo "it does not answer:" >&2; tail -n 2 asked log >&2; exit 1; fi
  sleep 0.2
done
$ask snapshot save snapshot.db >/dev/null 2>saved || { tail -n 5 saved >&2; exit 1; }`
