package kubeadm

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"drydock.dev/drydock/harness/cluster"
)

// The patches that fast timing has kubeadm lay over what it writes, and where they are on a machine.
const (
	patchTemplate = "static-pod-patch.yaml.tmpl"
	patchDir      = "/etc/kubernetes/patches"
)

// patched writes the patches of a machine's static pods and names their directory, where there are any.
func (p params) patched(ctx context.Context, m cluster.Machine) (params, error) {
	if !p.Fast || !p.ControlPlane {
		return p, nil
	}
	for _, pod := range StaticPods(cluster.Topology{Etcd: cluster.EtcdStacked}) { // one for a pod that kubeadm does not write changes nothing
		of := p
		of.Name = pod
		patch, err := render(of, patchTemplate)
		if err != nil {
			return p, err
		}
		if err := m.WriteFile(ctx, patchOf(pod), patch, 0o644); err != nil {
			return p, err
		}
	}
	p.Patches = patchDir
	return p, nil
}

func patchOf(pod string) string { return path.Join(patchDir, pod+"+strategic.yaml") }

// stillPatched is patched on a machine whose kubeadm was told of patches when it was made. One that somebody else made, as kind's library, has none: an
// upgrade leaves nothing behind that was not there, and changes no more than its version.
func (p params) stillPatched(ctx context.Context, m cluster.Machine) (params, error) {
	_, err := m.ReadFile(ctx, patchOf(StaticPods(cluster.Topology{})[0]))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	return p.patched(ctx, m)
}
