package unsynced

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// chunk is compared and written at a time.
const chunk = 256 << 10

// mirror makes dst what src is, reading both and writing what differs. What is a hole in both is not looked at: etcd preallocates its log.
func mirror(dst, src *os.File) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if err := dst.Truncate(size); err != nil {
		return err
	}
	have, want := make([]byte, chunk), make([]byte, chunk)
	for at := int64(0); at < size; {
		if at = min(data(src, at, size), data(dst, at, size)); at >= size {
			return nil
		}
		n, err := src.ReadAt(want[:min(chunk, size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 { // it was cut meanwhile
			return nil
		}
		m, err := dst.ReadAt(have[:n], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !bytes.Equal(have[:m], want[:n]) {
			if _, err := dst.WriteAt(want[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
	}
	return nil
}

// data is where the next data is, or the size; a file system that knows no holes says that it is here.
func data(f *os.File, at, size int64) int64 {
	next, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size
	case err != nil:
		return at
	default:
		return next
	}
}

// reopen opens what an O_PATH descriptor is of, to be read.
func reopen(pin *os.File, flags int) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", pin.Fd()), flags, 0)
}
