package enclose

import (
	"fmt"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// become lets go of the rights that the preparation took and runs the program in this process's place.
func (t inner) become() error {
	runtime.LockOSThread() // rights are a thread's, and the one that executes keeps its own
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("inside: let go of rights: %w", err)
	}
	return fmt.Errorf("%s: %w", t.Argv[0], syscall.Exec(t.Argv[0], t.Argv, t.Env))
}
