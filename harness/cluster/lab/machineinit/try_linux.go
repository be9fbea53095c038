package machineinit

import (
	"encoding/json"
	"fmt"
	"io"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/unsynced"
)

// Try does in this process's namespaces, which are fresh and go with it, what machines are asked to do by their capabilities, and writes what the
// kernel refuses as a cluster.Lacks in JSON.
func Try(to io.Writer) error {
	lacks := cluster.Lacks{}
	err := cut(nil)
	if err == nil {
		_, err = dropped()
	}
	if err == nil {
		err = healLinks()
	}
	if err != nil {
		lacks[cluster.CanLinks] = fmt.Sprintf("this host's kernel gives a machine no packet filter (%v): load nf_tables", err)
	}
	// The last of all: nobody answers what this process would fsync from here on.
	if l, err := unsynced.Install(); err != nil {
		lacks[cluster.CanLoseUnsynced] = fmt.Sprintf("this host's kernel does not tell what a machine's programs fsync (%v)", err)
	} else if err := l.Close(); err != nil {
		return err
	}
	return json.NewEncoder(to).Encode(lacks)
}
