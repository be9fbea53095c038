// Command kube-addon-manager has in the cluster what the addons' files have, as the component of that name does which AKS Engine runs on every control plane: by
// kubectl, by two modes that a label of each object names, and on the machine alone whose controller manager leads. It stands in for that component, a script
// for bash that kubectl of today does not take, and does not prune.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	m := manager{}
	flag.StringVar(&m.dir, "path", "/etc/kubernetes/addons", "directory of the addons' files")
	flag.DurationVar(&m.every, "every", time.Minute, "from one round to the next")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	m.run(ctx)
}

type manager struct {
	dir   string
	every time.Duration
}

func (m manager) run(ctx context.Context) {
	again := time.NewTicker(m.every)
	defer again.Stop()
	for {
		m.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// mode is the label by which an object says what becomes of it when it is not as its file has it.
const mode = "addonmanager.kubernetes.io/mode"

// round makes what is missing, and sets right what is to be as its file has it.
func (m manager) round(ctx context.Context) {
	host, _ := os.Hostname() // without a name it leads nobody's machine
	leader, err := kubectl(ctx, "get", "lease", "kube-controller-manager", "--namespace=kube-system", "--output=jsonpath={.spec.holderIdentity}")
	leader, _, _ = strings.Cut(leader, "_")
	if err == nil && leader != "" && leader != host { // several are better than none
		say("%s leads", leader)
		return
	}
	m.kubectl(ctx, "create", "EnsureExists")
	m.kubectl(ctx, "apply", "Reconcile")
}

func (m manager) kubectl(ctx context.Context, verb, of string) {
	out, _ := kubectl(ctx, verb, "--filename="+m.dir, "--recursive", "--selector="+mode+"="+of) // whatever it says is told
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "AlreadyExists") && !strings.Contains(line, "already exists") {
			say("%s: %s", of, strings.TrimSpace(line))
		}
	}
}

func kubectl(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "kubectl", args...).CombinedOutput()
	return string(out), err
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
}
