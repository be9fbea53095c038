package unsynced

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Install has the calls of this process, of all its threads and of whatever it starts from now on, wait for whoever reads the listener.
// Once nobody has the listener open any more they fail with ENOSYS.
func Install() (*os.File, error) {
	filter, err := program()
	if err != nil {
		return nil, err
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// SPEC_ALLOW: the filter keeps nobody from anything, and the kernel's mitigation for those that do would cost every program of the machine.
	flags := unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	switch {
	case errno == unix.EBUSY:
		return nil, fmt.Errorf("seccomp: whatever runs this has such a filter already, and the kernel allows one: %w", errno)
	case errno != 0:
		return nil, fmt.Errorf("seccomp: %w", errno)
	}
	return os.NewFile(fd, "seccomp listener"), nil
}

// Tell installs and hands the listener over at the socket of that number, which it closes.
func Tell(socket int) error {
	l, err := Install()
	if err == nil {
		err = errors.Join(unix.Sendmsg(socket, []byte{0}, unix.UnixRights(int(l.Fd())), nil, 0), l.Close())
	}
	if err = errors.Join(err, unix.Close(socket)); err != nil {
		return fmt.Errorf("have calls of fsync told: %w", err)
	}
	return nil
}

// Told takes the listener at the other end of the socket.
func Told(socket *os.File) (*os.File, error) {
	oob := make([]byte, unix.CmsgSpace(4)) // of one descriptor
	_, n, _, _, err := unix.Recvmsg(int(socket.Fd()), make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("take the listener: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("take the listener: %d messages (%w)", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, fmt.Errorf("take the listener: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "seccomp listener"), nil
}

// program tells of the calls that make data durable and lets all others pass (seccomp(2), BPF over struct seccomp_data).
func program() ([]unix.SockFilter, error) {
	const nrAt, archAt = 0, 4 // in struct seccomp_data
	arch, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("seccomp: the numbers of calls on %s are not known here", runtime.GOARCH)
	}
	calls := []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC, unix.SYS_SYNCFS}
	n := uint8(len(calls))
	out := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: archAt},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: arch, Jf: n + 1}, // to the pass
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: nrAt},
	}
	for i, nr := range calls {
		out = append(out, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jt: n - uint8(i)}) // to the telling
	}
	return append(out,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
	), nil
}

// call is one that waits: struct seccomp_notif.
type call struct {
	id    uint64
	tid   uint32 // of the thread, in this process's PID namespace
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// verdict is struct seccomp_notif_resp.
type verdict struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

// listen tells of each call, and lets it go on when do returns, until nobody is left who could make one. One that is to take longer is told of when
// that time is over; others go on meanwhile.
func listen(l *os.File, longer func(c call) (time.Duration, func()), do func(c call)) error {
	defer runtime.KeepAlive(l) // its end would be everybody's ENOSYS
	fd := l.Fd()
	var mu sync.Mutex
	var refused error // the first that could not be let go on
	answer := func(c call) {
		do(c)
		goOn := verdict{id: c.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if errno := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&goOn)); errno != 0 && errno != unix.ENOENT {
			mu.Lock()
			defer mu.Unlock()
			refused = cmp.Or(refused, fmt.Errorf("seccomp: let %d go on: %w", c.tid, errno))
		}
	}
	var late sync.WaitGroup
	defer late.Wait() // they use the number of the listener's file
	for {
		mu.Lock()
		err := refused
		mu.Unlock()
		if err != nil {
			return err
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		switch _, err := unix.Poll(poll, -1); {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("seccomp: poll: %w", err)
		case poll[0].Revents&unix.POLLIN == 0:
			return nil
		}
		var c call
		errno := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&c))
		if errno == unix.EINTR || errno == unix.ENOENT { // who made it was killed or got a signal meanwhile
			continue
		}
		if errno != 0 {
			return fmt.Errorf("seccomp: receive: %w", errno)
		}
		wait, waited := longer(c)
		if wait == 0 {
			answer(c)
			continue
		}
		late.Add(1)
		time.AfterFunc(wait, func() {
			defer late.Done()
			waited()
			answer(c)
		})
	}
}

// waits reports whether the call still does: what /proc shows of its thread's number is then that thread's.
func waits(l *os.File, c call) bool {
	return ioctl(l.Fd(), unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&c.id)) == 0
}

func ioctl(fd uintptr, what uint, p unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uintptr(what), uintptr(p))
	return errno
}
