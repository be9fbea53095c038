package machineinit

import (
	"encoding/json"
	"fmt"
	"io"

	"drydock.dev/drydock/harness/cluster"
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
	return json.NewEncoder(to).Encode(lacks)
}
