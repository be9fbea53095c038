package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/util/version"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

// askedWithin is how long a member may take to tell something of itself, which needs no quorum.
const askedWithin = 5 * time.Second

// Versions are what a member tells on its page /version. That of the cluster is its oldest member's, without the patch: it rises when the last has come to a
// new one, and from then on no older member starts.
type Versions struct {
	Server  string `json:"etcdserver"`
	Cluster string `json:"etcdcluster"`
	Storage string `json:"storage"` // what its database is written for; empty before 3.6
}

// Versions asks a machine's member for them.
func (a *Access) Versions(ctx context.Context, machine string) (v Versions, err error) {
	ctx, cancel := context.WithTimeout(ctx, askedWithin)
	defer cancel()
	endpoint, err := a.Endpoint(machine)
	if err != nil {
		return v, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: a.tls, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return a.cluster.Dial(ctx, network, addr)
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/version", nil)
	if err != nil {
		return v, fmt.Errorf("versions of the member on %s: %w", machine, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return v, fmt.Errorf("versions of the member on %s: %w", machine, err)
	}
	defer func() { _ = resp.Body.Close() }()
	const page = 4 << 10
	raw, err := io.ReadAll(io.LimitReader(resp.Body, page))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		return v, fmt.Errorf("versions of the member on %s: %w", machine, err)
	}
	return v, nil
}

// Minor is the minor version of a release, of one that a member tells too: 3.6 of v3.6.16 and of 3.6.0. Empty: it is none.
func Minor(v string) string {
	parsed, err := version.ParseGeneric(v)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d.%d", parsed.Major(), parsed.Minor())
}

// Older reports whether a version's minor is older than another's.
func Older(v, other string) bool {
	a, errA := version.ParseGeneric(v)
	b, errB := version.ParseGeneric(other)
	return errA == nil && errB == nil && (a.Major() < b.Major() || a.Major() == b.Major() && a.Minor() < b.Minor())
}

// GoesByDatabase reports whether a version goes by the list of members in its database alone. Before v3.6.0 etcd goes by the one in its other store, and
// nobody notices that they differ.
func GoesByDatabase(v string) bool { return !Older(v, "v3.6.0") }

// Handover has another member lead where a machine's does, so that nobody has to find out that the leader is gone. False: that member does not lead.
func (w *Watcher) Handover(ctx context.Context, machine string) (moved bool, err error) {
	members := w.Members(ctx, askedWithin)
	own := slices.IndexFunc(members, func(m Member) bool { return m.Machine == machine })
	if own < 0 || !members[own].IsLeader() {
		return false, nil
	}
	to := slices.IndexFunc(members, func(m Member) bool { return m.Machine != machine && m.Healthy() })
	if to < 0 {
		return false, fmt.Errorf("no member but the one on %s could lead", machine)
	}
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	c, _, err := w.to(ctx, machine)
	if err != nil {
		return false, err
	}
	if _, err := c.MoveLeader(ctx, members[to].ID); err != nil {
		return false, fmt.Errorf("have the member on %s lead in the place of the one on %s: %w", members[to].Machine, machine, err)
	}
	return true, nil
}

// Downgrading is the minor version that a downgrade, which is not over, goes down to; empty: there is none. Members before 3.6 do not know.
func (w *Watcher) Downgrading(ctx context.Context, machine string) (to string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askedWithin)
	defer cancel()
	c, endpoint, err := w.to(ctx, machine)
	if err != nil {
		return "", err
	}
	st, err := c.Status(ctx, endpoint)
	if err != nil {
		return "", fmt.Errorf("member on %s: %w", machine, err)
	}
	if d := st.DowngradeInfo; d != nil && d.Enabled {
		return Minor(d.TargetVersion), nil
	}
	return "", nil
}

// BeginDowngrade lets members of an older minor version in (etcdctl downgrade enable), once etcd says that it can be gone down to.
func (a *Access) BeginDowngrade(ctx context.Context, minor string) error {
	return a.downgrade(ctx, minor, clientv3.DowngradeValidate, clientv3.DowngradeEnable)
}

// CancelDowngrade undoes BeginDowngrade while all members are still at the newer version.
func (a *Access) CancelDowngrade(ctx context.Context) error {
	return a.downgrade(ctx, "", clientv3.DowngradeCancel)
}

func (a *Access) downgrade(ctx context.Context, minor string, actions ...clientv3.DowngradeAction) error {
	c, err := a.Client(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	for _, action := range actions {
		if _, err := c.Downgrade(ctx, action, minor); err != nil {
			return fmt.Errorf("downgrade of etcd to %s: %w", minor, err)
		}
	}
	return nil
}

// storedWithin is how long a member's database may take to be copied.
const storedWithin = 2 * time.Minute

// Stored compares the list of members with the one in a machine's own database, of which it takes a copy into a directory here. They are two until 3.6, which
// goes by the database's: what differs comes to light when a member is upgraded.
func (a *Access) Stored(ctx context.Context, w *Watcher, machine, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, storedWithin)
	defer cancel()
	f, err := os.CreateTemp(dir, "members-*.db")
	if err != nil {
		return fmt.Errorf("members in the database on %s: %w", machine, err)
	}
	_ = f.Close() // it is empty
	defer func() { _ = os.Remove(f.Name()) }()
	if err := a.SnapshotOf(ctx, machine, f.Name()); err != nil {
		return err
	}
	holds, err := ReadSnapshot(f.Name())
	if err != nil {
		return err
	}
	list := w.Membership(ctx, changeWithin)
	if list.Error != "" {
		return errors.New(list.Error)
	}
	if differ := holds.differs(list.Members); len(differ) > 0 {
		return &StoredError{Machine: machine, Differs: differ}
	}
	return nil
}

// StoredError says that the members in a machine's database are not those on the cluster's list.
type StoredError struct {
	Machine string
	Differs []string
}

func (e *StoredError) Error() string {
	return fmt.Sprintf("the database on %s has other members than the cluster: %s", e.Machine, strings.Join(e.Differs, ", "))
}

// differs says in what the members of a database are not those on the cluster's list.
func (h Holds) differs(list []Listed) (out []string) {
	for _, l := range list {
		who := fmt.Sprintf("%x of %s", l.ID, l.Machine)
		switch learner := slices.Contains(h.Learners, l.ID); {
		case !slices.Contains(h.Members, l.ID):
			out = append(out, who+" is missing")
		case learner && !l.Learner:
			out = append(out, who+" is a learner there, and has a vote")
		case l.Learner && !learner:
			out = append(out, who+" has a vote there, and is a learner")
		}
	}
	for _, id := range h.Members {
		if !slices.ContainsFunc(list, func(l Listed) bool { return l.ID == id }) {
			out = append(out, fmt.Sprintf("%x was removed and is there", id))
		}
	}
	return out
}

// Install puts a release of etcd in the place of the one on a machine, and has its service run it.
func Install(ctx context.Context, m cluster.Machine, version string) error {
	inst, err := cluster.As[cluster.Installer](m)
	if err != nil {
		return err
	}
	if err := inst.Install(ctx, release.Etcd, version); err != nil {
		return err
	}
	_, err = m.Exec(ctx, cluster.Command{Args: []string{"systemctl", "restart", Program}})
	return err
}
