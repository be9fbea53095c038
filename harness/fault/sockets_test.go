package fault

import (
	"net/netip"
	"testing"
)

// Two lines each as Linux 6.18 writes them, of etcd's client port, 2379.
const (
	tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 01014D0A:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 01014D0A:094B 02014D0A:C350 03 00000000:00000000 01:00000040 00000001     0        0 0 1 0
   2: 01014D0A:094B 03014D0A:C350 01 00000000:00000000 00:00000000 00000000     0        0 9 1 0
`
	tcp6 = `  sl  local_address                         remote_address                        st
   1: 0000000000000000FFFF000001014D0A:094B 0000000000000000FFFF000002014D0A:C350 03 00000000:00000000
`
)

func TestHalfOpen(t *testing.T) {
	for _, c := range []struct {
		table string
		port  int
		from  string
		want  bool
	}{
		{tcp, 2379, "10.77.1.2", true},
		{tcp6, 2379, "10.77.1.2", true},
		{tcp, 2380, "10.77.1.2", false},  // another port
		{tcp, 2379, "10.77.1.3", false},  // connected
		{tcp6, 2379, "10.77.1.1", false}, // its own address
		{"", 2379, "10.77.1.2", false},
	} {
		if got := halfOpen(c.table, c.port, netip.MustParseAddr(c.from)); got != c.want {
			t.Errorf("port %d from %s: %t", c.port, c.from, got)
		}
	}
}
