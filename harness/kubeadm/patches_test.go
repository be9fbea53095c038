package kubeadm

import (
	"context"
	"io/fs"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

// disk is a machine that has files and nothing else.
type disk struct {
	cluster.Machine
	files map[string]string
}

func (d disk) ReadFile(_ context.Context, name string) ([]byte, error) {
	if f, ok := d.files[name]; ok {
		return []byte(f), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (d disk) WriteFile(_ context.Context, name string, data []byte, _ fs.FileMode) error {
	d.files[name] = string(data)
	return nil
}

// TestAnUpgradePatchesWhatWasPatched: of a cluster that was made without patches it keeps the probes, and leaves no file.
func TestAnUpgradePatchesWhatWasPatched(t *testing.T) {
	fast := params{Fast: true, ControlPlane: true}
	foreign := disk{files: map[string]string{}}
	p, err := fast.stillPatched(t.Context(), foreign)
	if err != nil || p.Patches != "" || len(foreign.files) != 0 {
		t.Errorf("%q, %v, %v", p.Patches, foreign.files, err)
	}
	ours := disk{files: map[string]string{}}
	if _, err := fast.patched(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	if p, err = fast.stillPatched(t.Context(), ours); err != nil || p.Patches != patchDir || len(ours.files) != 4 {
		t.Errorf("%q, %v, %v", p.Patches, ours.files, err)
	}
}
