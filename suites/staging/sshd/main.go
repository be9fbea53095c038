// Package main starts the host's sshd on a machine of a lab, where one user is all there is: the kernel refuses setgroups(2) in such a user namespace,
// and sshd ends when it is refused. A filter answers for the kernel, that it was done: there is no other group that anybody could be in. The arguments
// are sshd's and its own path.
package main

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if err := start(os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "sshd:", err)
		os.Exit(1)
	}
}

// start filters this thread, which becomes sshd, and all that comes of it.
func start(args []string) error {
	runtime.LockOSThread()
	const number = 0 // of the system call, in struct seccomp_data
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: unix.SYS_SETGROUPS},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO}, // 0: done
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	return unix.Exec(args[0], args, os.Environ())
}
