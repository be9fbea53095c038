package machineinit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/process"
)

// going are the machine's processes that run: all but this one, which is the machine's PID 1 and of the harness, those that are stopped and those that are dead.
func going() (out []process.Info) {
	for _, p := range process.List() {
		if p.PID != os.Getpid() && p.State != "T" && p.State != "t" && p.State != "Z" && p.State != "X" {
			out = append(out, p)
		}
	}
	return out
}

// pauseWithin is how long it may take: one that is in a call that cannot be interrupted stops when that returns.
const pauseWithin = 10 * time.Second

// pause stops processes until none is left that runs: one may have been started by another before that was stopped.
func pause(ctx context.Context) error {
	return cluster.Await(ctx, "nothing running", cluster.Wait{For: pauseWithin, Every: 5 * time.Millisecond}, func(context.Context) error {
		left := going()
		for _, p := range left {
			if err := signalOne(p, syscall.SIGSTOP); err != nil {
				return err
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("%d processes were not stopped yet, %s (%d) among them", len(left), left[0].Name, left[0].PID)
		}
		return nil
	})
}

// resume lets all go on that is stopped.
func resume() error {
	var errs []error
	for _, p := range process.List() {
		if p.State == "T" {
			errs = append(errs, signalOne(p, syscall.SIGCONT))
		}
	}
	return errors.Join(errs...)
}

func signalOne(p process.Info, sig syscall.Signal) error {
	if err := syscall.Kill(p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %d to %s (%d): %w", sig, p.Name, p.PID, err)
	}
	return nil
}
