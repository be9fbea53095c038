package vm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// What a VM machine's kernel finds in its first root.
const (
	initFile   = "init"         // the drydock binary
	modulesDir = "modules"      // in the order of their names
	configFile = "machine.json" // machineinit.Config
)

// archive writes a root for a kernel to begin with (Documentation/driver-api/early-userspace/buffer-format.rst of Linux: "newc" cpio).
type archive struct {
	to  *bufio.Writer
	ino int
	err error
}

// writeInitramfs makes the file: drydock as init, the modules, and what the machine is told.
func writeInitramfs(file, program string, modules []string, config []byte) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	a := &archive{to: bufio.NewWriterSize(f, 1<<20)}
	a.copy(initFile, program, 0o755)
	a.entry(modulesDir, 0o040755, 0, strings.NewReader(""))
	for i, m := range modules {
		a.copy(path.Join(modulesDir, fmt.Sprintf("%03d-%s", i, filepath.Base(m))), m, 0o644)
	}
	a.entry(configFile, 0o100600, int64(len(config)), strings.NewReader(string(config)))
	a.entry("TRAILER!!!", 0, 0, strings.NewReader(""))
	if a.err != nil {
		return fmt.Errorf("initramfs: %w", a.err)
	}
	return a.to.Flush()
}

func (a *archive) copy(name, from string, mode int) {
	f, err := os.Open(from)
	if err != nil {
		a.err = errors.Join(a.err, err)
		return
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		a.err = errors.Join(a.err, err)
		return
	}
	a.entry(name, 0o100000|mode, st.Size(), f)
}

func (a *archive) entry(name string, mode int, size int64, data io.Reader) {
	if a.err != nil {
		return
	}
	a.ino++
	head := "070701"
	for _, n := range []int64{int64(a.ino), int64(mode), 0, 0, 1, 0, size, 0, 0, 0, 0, int64(len(name) + 1), 0} {
		head += fmt.Sprintf("%08X", n)
	}
	if _, err := io.WriteString(a.to, head+name+"\x00"+padding(len(head)+len(name)+1)); err != nil {
		a.err = err
		return
	}
	n, err := io.Copy(a.to, data)
	if err == nil && n != size {
		err = fmt.Errorf("%s: %d bytes instead of %d", name, n, size)
	}
	if err == nil {
		_, err = io.WriteString(a.to, padding(int(size)))
	}
	a.err = err
}

// padding fills up to a multiple of four.
func padding(n int) string { return strings.Repeat("\x00", (4-n%4)%4) }
