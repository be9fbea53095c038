// Pause is the process that holds a pod's namespaces: it reaps whatever is orphaned in them, and ends when it is told to.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The Job by which `kubeadm upgrade` tries the runtime calls `pause -v` and waits until it has ended well.
	if len(os.Args) > 1 && os.Args[1] == "-v" {
		_, _ = fmt.Fprintln(os.Stdout, "pause of drydock")
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
	}
}
