package replace

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// old is what the machine was, kept from before it was touched.
type old struct {
	parts
	kubeadm.Identity
	// Tried are the machines that were made in its place so far: what one that failed, or was lost, has left behind goes when another has passed the gate.
	Tried []parts `json:"tried,omitempty"`
}

// kept reads what is kept of the old machine.
func (m *machine) kept() (was old, err error) {
	k, err := m.Kept(m.name)
	if err == nil && len(k.Machine) > 0 {
		err = json.Unmarshal(k.Machine, &was)
	}
	if err != nil {
		return was, fmt.Errorf("what is kept of %s: %w", m.name, err)
	}
	return was, nil
}

// note writes down that a machine was made in the old one's place, and what goes with it: once it is deleted nobody could say.
func (m *machine) note(vm *manager.VM) error { return m.tried(partsOf(vm)) }

func (m *machine) tried(p parts) error {
	k, err := m.Kept(m.name)
	if err != nil {
		return fmt.Errorf("what is kept of %s: %w", m.name, err)
	}
	was, err := m.kept()
	if err != nil || slices.ContainsFunc(was.Tried, func(o parts) bool { return reflect.DeepEqual(o, p) }) {
		return err
	}
	was.Tried = append(was.Tried, p)
	if k.Machine, err = json.Marshal(was); err != nil {
		return fmt.Errorf("keep what %s is: %w", m.name, err)
	}
	return m.Keep(m.name, k)
}

// begin keeps what the machine is and what its Node carries. Of one that is lost already the record and the Node say what it was.
func (m *machine) begin(ctx context.Context, vm *manager.VM) error {
	rec, err := m.must()
	if err != nil {
		return err
	}
	was, k := old{parts: rec.parts}, upgrade.Kept{From: m.from}
	if vm != nil {
		was.parts = partsOf(vm)
	}
	node, err := m.node(ctx)
	if err != nil {
		return err
	}
	if node != nil {
		k = upgrade.Carried(node, m.from)
		was.Identity = kubeadm.IdentityOf(node)
	}
	if k.Machine, err = json.Marshal(was); err != nil {
		return fmt.Errorf("keep what %s is: %w", m.name, err)
	}
	return m.Keep(m.name, k)
}

// must is the machine's record, which the first step has written.
func (m *machine) must() (*record, error) {
	rec, err := m.recorded(m.name)
	if err == nil && rec == nil {
		err = fmt.Errorf("nobody has written down how %s is made: %w", m.name, fs.ErrNotExist)
	}
	return rec, err
}

// node reads the machine's Node; nil: there is none.
func (m *machine) node(ctx context.Context) (n *corev1.Node, err error) {
	err = cluster.Await(ctx, "read node "+m.name, cluster.Wait{For: apiFor}, func(ctx context.Context) (err error) {
		n, err = m.Target.Client.CoreV1().Nodes().Get(ctx, m.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			n, err = nil, nil
		}
		return err
	})
	return n, err
}
