package machineinit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/memory"
	"drydock.dev/drydock/harness/cluster/lab/process"
	"drydock.dev/drydock/harness/cluster/lab/runtime"
)

// sysctls are the files of /proc/sys that a kubelet writes at its start (setupKernelTunables of pkg/kubelet/cm) and that are of the kernel, not of a
// namespace, with the values that a kernel boots with. A machine has them for itself.
func sysctls() map[string]string {
	return map[string]string{cluster.PanicOnOOM: "0", cluster.PanicReboots: "0", "/proc/sys/kernel/panic_on_oops": "0", "/proc/sys/vm/overcommit_memory": "0"}
}

func bindSysctls() error {
	const dir = "/run/sysctl"
	for path, value := range sysctls() {
		own := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(own, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(own, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", path, err)
		}
	}
	return nil
}

// filler fills the machine's memory, and acts in the place of its kernel when that has run out.
type filler struct {
	table   *process.Table
	runtime *runtime.Server
	booted  time.Time
	last    io.Writer // the lab's: a Panic

	mu    sync.Mutex
	eater *exec.Cmd
	done  chan struct{} // closed when it has ended
}

// kubeletScore is what a kubelet asks for itself (--oom-score-adj), and no user namespace gives it.
const kubeletScore = -999

// fill returns when memory has begun to be taken.
func (f *filler) fill(_ context.Context, _ none) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.eater != nil {
		return nil, nil
	}
	if left, err := available(); err != nil || left < 4*memory.Room {
		return nil, errors.Join(err, fmt.Errorf("this host has %d MiB of memory left: too little to take %d of them", left>>20, memory.Room>>20))
	}
	// Some more than there is room for: other processes may give some back meanwhile.
	cmd := exec.Command(Program, "fill-memory", strconv.Itoa(2*memory.Room)) //nolint:noctx // ended by free, or with the machine
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	killer := &memory.Killer{Booted: f.booted, Console: os.Stderr, Panic: f.panic}
	if err := f.table.Start(cmd); err != nil {
		return nil, err
	}
	killer.Spared = []int{os.Getpid(), cmd.Process.Pid}
	killer.Scores = func() map[int]int {
		scores := f.runtime.OOMScores()
		for _, p := range process.Named("kubelet") {
			scores[p.PID] = kubeletScore
		}
		return scores
	}
	f.eater, f.done = cmd, make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // it outlives the call
	go func() {
		_ = f.table.Wait(cmd)
		cancel()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.eater = nil
		close(f.done)
	}()
	go killer.Watch(ctx, func() { _ = cmd.Process.Signal(syscall.SIGSTOP) })
	return nil, nil
}

// free returns when what was taken is given back.
func (f *filler) free(ctx context.Context, _ none) (any, error) {
	f.mu.Lock()
	eater, done := f.eater, f.done
	f.mu.Unlock()
	if eater == nil {
		return nil, nil
	}
	if err := eater.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, err
	}
	select {
	case <-done:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// panic ends the machine as a panic of its kernel would: nothing gets to say goodbye on the network, and then PID 1 ends and with it everything.
func (f *filler) panic(reboot int) {
	if link, err := netlink.LinkByName("eth0"); err == nil {
		_ = netlink.LinkSetDown(link)
	}
	_ = json.NewEncoder(f.last).Encode(Panic{Reboot: reboot})
	os.Exit(1)
}

// available is what the host could still give (proc_meminfo(5)).
func available() (uint64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("/proc/meminfo has no MemAvailable")
}
