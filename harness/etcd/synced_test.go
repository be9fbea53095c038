package etcd

import (
	"strings"
	"testing"
)

// TestSyncedEqual: who has applied all and has not come to the revision of the others holds other data, and is not merely one that could not be compared.
func TestSyncedEqual(t *testing.T) {
	machines := []string{"etcd-1", "etcd-2"}
	for name, c := range map[string]struct {
		s    Synced
		want string // empty: they are equal
	}{
		"equal":           {Synced{Revision: 9, Applied: map[string]int64{"etcd-1": 9, "etcd-2": 11}, Hashes: map[string]uint32{"etcd-1": 7, "etcd-2": 7}}, ""},
		"other data":      {Synced{Revision: 9, Applied: map[string]int64{"etcd-1": 9, "etcd-2": 9}, Hashes: map[string]uint32{"etcd-1": 7, "etcd-2": 8}}, "the member on etcd-2 holds other data at revision 9"},
		"a revision less": {Synced{Revision: 9, Applied: map[string]int64{"etcd-1": 9, "etcd-2": 8}, Hashes: map[string]uint32{"etcd-1": 7}}, "etcd-2 has applied all that the others have and come to revision 8 of 9: it holds other data"},
		"not compared":    {Synced{Revision: 9, Applied: map[string]int64{"etcd-1": 9}, Hashes: map[string]uint32{"etcd-1": 7}}, "the data of the member on etcd-2 was not compared"},
		"an error":        {Synced{Error: "a last write: timed out"}, "a last write"},
	} {
		err := c.s.Equal(machines)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}
