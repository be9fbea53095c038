package lab

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"drydock.dev/drydock/harness/cluster/lab/labinit"
)

// Residue looks for what a lab that ended could have left on the host: processes started for its directory, mounts below
// it, and its loopback port. Its interfaces lived in network namespaces that end with its processes.
func Residue(dir string) ([]string, error) {
	var left []string
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("residue: %w", err)
	}
	for _, p := range procs {
		raw, err := os.ReadFile(filepath.Join(p, "cmdline"))
		if err == nil && strings.Contains(string(raw), "lab-init\x00"+dir) {
			left = append(left, "process "+filepath.Base(p))
		}
		// A machine's root is its disk: a process in it cannot hide behind its command line.
		if root, err := os.Readlink(filepath.Join(p, "root")); err == nil && strings.HasPrefix(root, dir) {
			left = append(left, "process "+filepath.Base(p)+" in "+root)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("residue: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " "+dir+"/") {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	return append(left, portResidue(dir)...), nil
}

// portResidue tries to take the port the lab had; somebody else may have it by now, so only a free one proves anything.
func portResidue(dir string) []string {
	raw, err := os.ReadFile(filepath.Join(dir, labinit.ConfigFile))
	if err != nil {
		return nil
	}
	var cfg labinit.Config
	if json.Unmarshal(raw, &cfg) != nil || cfg.APIPort == 0 {
		return nil
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: cfg.APIPort})
	if err != nil {
		return []string{fmt.Sprintf("port %d on 127.0.0.1", cfg.APIPort)}
	}
	_ = l.Close()
	return nil
}
