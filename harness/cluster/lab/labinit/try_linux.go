package labinit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/unsynced"
)

// Try does in this process's namespaces, which are fresh and go with it, what machines and their links are asked to do by their capabilities, and
// writes what the kernel refuses as a cluster.Lacks in JSON.
func Try(to io.Writer) error {
	lacks := cluster.Lacks{}
	a, b := Machine{Addr: "10.77.1.1", Link: "m1"}, Machine{Addr: "10.77.1.2", Link: "m2"}
	err := cutOff(a, cluster.BothWays, []Machine{b})
	if err == nil {
		_, err = droppedOf(a)
	}
	if err == nil {
		err = uncut(a)
	}
	if err != nil {
		lacks[cluster.CanLinks] = fmt.Sprintf("this host's kernel gives a lab's bridge no packet filter (%v): load nf_tables, which needs CONFIG_NF_TABLES_BRIDGE", errors.Unwrap(err))
	}
	// The last of all: nobody answers what this process would fsync from here on.
	if l, err := unsynced.Install(); err != nil {
		why := fmt.Sprintf("this host's kernel does not tell what a machine's programs fsync (%v)", err)
		lacks[cluster.CanLoseUnsynced], lacks[cluster.CanSlowDisk] = why, why
	} else if err := l.Close(); err != nil {
		return err
	}
	return json.NewEncoder(to).Encode(lacks)
}
