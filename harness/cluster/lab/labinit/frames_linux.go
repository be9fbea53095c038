package labinit

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value of linux/ethtool.h, and ifreqData a struct ifreq that points to one.
type ethtoolValue struct{ cmd, data uint32 }

type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// wholeFrames has the kernel do itself what it would leave to the other end of a cable: checksums, and the cutting of what is larger than a frame.
// Between two namespaces nobody ever does it, and behind this cable is another kernel, which looks.
func wholeFrames(link string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", link, err)
	}
	defer func() { _ = unix.Close(fd) }()
	var errs []error
	for _, cmd := range []uint32{unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_STXCSUM} {
		off := ethtoolValue{cmd: cmd}
		req := ifreqData{data: unsafe.Pointer(&off)}
		copy(req.name[:unix.IFNAMSIZ-1], link)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
			errs = append(errs, fmt.Errorf("%s: have frames made whole (ethtool command %#x): %w", link, cmd, errno))
		}
	}
	return errors.Join(errs...)
}
