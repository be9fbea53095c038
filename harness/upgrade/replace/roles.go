package replace

import (
	"context"
	"fmt"
	"slices"

	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// withheld are the roles that the old machine had in its own name and the new one has not: an identity that a machine has to itself goes with it, and another
// of its name is a stranger to the cloud.
func (m *machine) withheld(ctx context.Context, vm *manager.VM) (out []manager.Role, err error) {
	rec, err := m.must()
	if err != nil || len(rec.Roles) == 0 || vm.Identity.Principal == "" {
		return nil, err
	}
	has, err := m.Manager.Roles(ctx, vm.Identity.Principal)
	for _, r := range rec.Roles {
		if !slices.ContainsFunc(has, r.Same) {
			out = append(out, r)
		}
	}
	return out, err
}

// permit gives the new machine the roles that it lacks: those that its template has not given it.
func (m *machine) permit(ctx context.Context, vm *manager.VM) error {
	withheld, err := m.withheld(ctx, vm)
	if err != nil {
		return err
	}
	for _, r := range withheld {
		if err := m.Manager.Permit(ctx, vm.Identity.Principal, r); err != nil {
			return err
		}
	}
	return nil
}

// permitted says why the new machine may not do in the cloud what the old one might.
func (m *machine) permitted(ctx context.Context, vm *manager.VM) error {
	rec, err := m.must()
	if err != nil {
		return err
	}
	if lacks := vm.Identity.Lacks(rec.Identity); lacks != "" {
		return fmt.Errorf("the new virtual machine %s lacks %s, which the old one had: its template must take identity", m.name, lacks)
	}
	withheld, err := m.withheld(ctx, vm)
	if err != nil || len(withheld) == 0 {
		return err
	}
	return fmt.Errorf("the new virtual machine %s lacks the role %s at %s, which the old one had", m.name, manager.Short(withheld[0].Properties.Definition), withheld[0].Properties.Scope)
}

// revoke deletes the roles of a machine that is gone: nobody else does.
func (m *machine) revoke(ctx context.Context, principal string) error {
	if principal == "" {
		return nil
	}
	roles, err := m.Manager.Roles(ctx, principal)
	if err != nil {
		return err
	}
	for _, r := range roles {
		if err := m.Manager.Delete(ctx, r.ID); err != nil {
			return err
		}
	}
	return nil
}
