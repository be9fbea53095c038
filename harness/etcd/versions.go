package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

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
	raw, err := page(ctx, &http.Transport{TLSClientConfig: a.tls, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return a.cluster.Dial(ctx, network, addr)
	}}, endpoint+"/version")
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
