// Package vm makes a machine of a lab one with a kernel of its own: QEMU runs in the namespaces that another machine would live in, on the same
// cable, and the same `drydock machine` is the init of the kernel in it. It exists because a kernel panic must be a kernel panic.
package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/wholefile"
)

// Kit is what a VM machine is made of, besides Drydock itself: a kernel with its modules, and QEMU. hack/vm fetches one into a directory. Paths that
// are not absolute are below that directory.
type Kit struct {
	Kernel  string   `json:"kernel"`  // a bzImage
	Modules []string `json:"modules"` // in the order they are loaded
	QEMU    string   `json:"qemu"`    // qemu-system-x86_64
	FSD     string   `json:"fsd"`     // virtiofsd, with the options of the one that came with QEMU until 7.2
	// The rest is empty where the two programs are the host's, which find what they need. Loader runs them with the Libraries they came with.
	Loader    string   `json:"loader,omitempty"`
	Libraries []string `json:"libraries,omitempty"`
	Plugins   string   `json:"plugins,omitempty"`  // QEMU's own modules
	Firmware  []string `json:"firmware,omitempty"` // directories
	From      []string `json:"from"`               // what it was made of: NAME VERSION
}

// KitFile is the kit's description in its directory, written last.
const KitFile = "kit.json"

// Fetch is the command that gets a kit, for whoever has none.
const Fetch = "make vm"

// ReadKit reads the kit of a directory. A UsageError says how to get one where there is none.
func ReadKit(dir string) (Kit, error) {
	var k Kit
	raw, err := os.ReadFile(filepath.Join(dir, KitFile))
	if errors.Is(err, fs.ErrNotExist) {
		return k, cluster.Usagef("there is no kernel and no QEMU in %s: get them with `%s`", dir, Fetch)
	}
	if err == nil {
		err = json.Unmarshal(raw, &k)
	}
	if err != nil {
		return k, fmt.Errorf("the kernel and QEMU of %s: %w", dir, err)
	}
	k = k.below(dir)
	for _, path := range append([]string{k.Kernel, k.QEMU, k.FSD}, k.Modules...) {
		if _, err := os.Stat(path); err != nil {
			return k, cluster.Usagef("the kernel and QEMU of %s are not whole (%w): get them again with `%s`", dir, err, Fetch)
		}
	}
	return k, nil
}

// below makes the paths absolute.
func (k Kit) below(dir string) Kit {
	one := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	all := func(paths []string) (out []string) {
		for _, p := range paths {
			out = append(out, one(p))
		}
		return out
	}
	k.Kernel, k.QEMU, k.FSD, k.Loader, k.Plugins = one(k.Kernel), one(k.QEMU), one(k.FSD), one(k.Loader), one(k.Plugins)
	k.Modules, k.Libraries, k.Firmware = all(k.Modules), all(k.Libraries), all(k.Firmware)
	return k
}

// Write writes the description, at once.
func (k Kit) Write(dir string) error {
	return wholefile.WriteJSON(filepath.Join(dir, KitFile), 0o644, k)
}
