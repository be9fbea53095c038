package replace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// Two who replace machines of one cluster would each find the quorum that the other takes away. The claim is a Lease in the cluster, made and taken away by
// whoever holds it: etcd's own compare-and-swap decides, from whatever host and directory the two come, and no call of the Resource Manager is spent on it,
// whose tags and locks know no owner (a tag has no etag, and a lock keeps the holder out as well). It never runs out: whoever was stopped for an hour may go
// on with a DELETE, and nobody could fence him. An upgrade that died goes on with its own claim, which its directory has.

// Claim is the Lease by which one at a time replaces a cluster's machines.
const Claim = "drydock-replace"

// apiFor is how long an API server may refuse: one of them is being replaced.
const apiFor = 30 * time.Second

func (r *Replacement) holderFile() string { return filepath.Join(r.Dir, "claim") }

// holder is who this upgrade is, whatever process carries it out; empty: it has not begun.
func (r *Replacement) holder() (string, error) {
	raw, err := os.ReadFile(r.holderFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("claim: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// lease reads the claim; nil: nobody has it.
func (r *Replacement) lease(ctx context.Context) (l *coordinationv1.Lease, err error) {
	err = cluster.Await(ctx, "read the claim on the cluster", cluster.Wait{For: apiFor}, func(ctx context.Context) (err error) {
		l, err = r.Target.Client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, Claim, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			l, err = nil, nil
		}
		return err
	})
	return l, err
}

// held says who else has the claim; nil: nobody.
func (r *Replacement) held(ctx context.Context) (*plan.Finding, error) {
	l, err := r.lease(ctx)
	if err != nil {
		return nil, err
	}
	return r.other(l)
}

// other says who else has a claim that was read; nil: nobody.
func (r *Replacement) other(l *coordinationv1.Lease) (*plan.Finding, error) {
	if l == nil {
		return nil, nil //nolint:nilnil // as the contract says: nobody
	}
	own, err := r.holder()
	if err != nil || l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity == own {
		return nil, err
	}
	who, since := "nobody says who", ""
	if l.Spec.HolderIdentity != nil {
		who = *l.Spec.HolderIdentity
	}
	if l.Spec.AcquireTime != nil {
		since = ", since " + l.Spec.AcquireTime.UTC().Format(time.RFC3339)
	}
	return &plan.Finding{
		Check: "claim", Severity: plan.Blocker, What: fmt.Sprintf("another upgrade replaces machines of this cluster (%s%s)", who, since),
		Why: "each would take away the quorum that the other has found",
		Fix: fmt.Sprintf("finish that one where it was begun, or, when it is certain that no process of it is left, kubectl delete lease -n %s %s", metav1.NamespaceSystem, Claim),
	}, nil
}

// claim takes the cluster, or goes on with what it has taken.
func (r *Replacement) claim(ctx context.Context) error {
	own, err := r.holder()
	if err != nil {
		return err
	}
	if own == "" {
		own = uuid.NewString()
		if err := errors.Join(os.MkdirAll(r.Dir, 0o755), os.WriteFile(r.holderFile(), []byte(own+"\n"), 0o600)); err != nil {
			return fmt.Errorf("claim: %w", err)
		}
	}
	now := metav1.NowMicro()
	wanted := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: Claim}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &own, AcquireTime: &now}}
	taken := false
	err = cluster.Await(ctx, "claim the cluster", cluster.Wait{For: apiFor}, func(ctx context.Context) error {
		_, err := r.Target.Client.CoordinationV1().Leases(metav1.NamespaceSystem).Create(ctx, wanted, metav1.CreateOptions{})
		if taken = apierrors.IsAlreadyExists(err); taken {
			return nil
		}
		return err
	})
	if err != nil || !taken {
		return err
	}
	other, err := r.held(ctx)
	switch {
	case err != nil:
		return err
	case other == nil:
		return fmt.Errorf("%w: it is this upgrade's already", plan.ErrSkip)
	default:
		return plan.Refusal("the upgrade", []plan.Finding{*other})
	}
}

// release gives the cluster back: the claim that was seen to be this upgrade's, and no other that has come since.
func (r *Replacement) release(ctx context.Context) error {
	l, err := r.lease(ctx)
	if err != nil {
		return err
	}
	other, err := r.other(l)
	switch {
	case err != nil:
		return err
	case l == nil || other != nil:
		return fmt.Errorf("%w: it is not this upgrade's any more", plan.ErrSkip)
	}
	return cluster.Await(ctx, "give the cluster back", cluster.Wait{For: apiFor}, func(ctx context.Context) error {
		err := r.Target.Client.CoordinationV1().Leases(metav1.NamespaceSystem).Delete(ctx, Claim, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(l.UID))})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil
		}
		return err
	})
}
