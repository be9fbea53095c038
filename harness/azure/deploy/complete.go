package deploy

import (
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// removal is what complete mode does once everything is made: what is in the group and not in the template goes
// (learn.microsoft.com "Azure Resource Manager deployment modes").
type removal struct {
	steps    []*deployed
	failures []arm.Error
}

// beginRemoval finds what goes. Deployments stay, and so do extensions and children: those go with what they belong to.
func (d *deployment) beginRemoval(tx *resource.Tx) {
	gone := &removal{}
	kept := map[string]bool{}
	for _, r := range d.resources {
		if r.state != skipped {
			kept[r.id.Top(1).Key()] = true
		}
	}
	for _, doc := range surplus(tx.View, d.id, kept) {
		gone.steps = append(gone.steps, &deployed{id: doc.ID, typ: tx.TypeOf(doc.ID), typeName: doc.ID.Type(), name: doc.ID.Name(), state: waiting})
	}
	d.mu.Lock()
	d.removing = gone
	d.undone += len(gone.steps)
	d.mu.Unlock()
	d.remove(tx)
}

func surplus(v resource.View, of arm.ID, kept map[string]bool) []*state.Document {
	docs := v.Below(arm.GroupID(of))
	return slices.DeleteFunc(docs, func(doc *state.Document) bool {
		typ := v.TypeOf(doc.ID)
		return doc.ID.Scope != "" || len(doc.ID.Types) != 1 || kept[doc.ID.Key()] || typ == nil || typ.Name == typeName || strings.EqualFold(doc.ID.Provider, "Microsoft.Authorization")
	})
}

// remove deletes what nothing holds any more, and goes on when that is gone.
func (d *deployment) remove(tx *resource.Tx) {
	var held *arm.Error
	for _, r := range d.removing.steps {
		if r.state != waiting {
			continue
		}
		if bad := tx.Gate(r.id, resource.ToDelete); bad != nil {
			d.set(r, arm.Failed, bad, tx.Now())
			d.removing.failures = append(d.removing.failures, *bad)
			continue
		}
		if r.typ.Held != nil {
			if bad := r.typ.Held(tx, r.id); bad != nil {
				held = bad
				continue
			}
		}
		ended := func(tx *resource.Tx, failure *arm.Error) { d.removed(tx, r, failure) }
		if doc := tx.Get(r.id); doc != nil && arm.Text(doc.Body(), "properties", "provisioningState") == arm.Deleting && tx.Attend(r.id, ended) {
			d.set(r, running, nil, tx.Now())
			continue
		}
		d.set(r, running, nil, tx.Now())
		if r.typ.AtOnce&resource.Deletes != 0 {
			tx.Erase(r.id)
			d.set(r, arm.Succeeded, nil, tx.Now())
			continue
		}
		tx.SetState(r.id, arm.Deleting)
		tx.Start(r.id, "delete", state.Work{Do: resource.Delete}, ended)
	}
	if d.active > 0 || held == nil {
		return
	}
	for _, r := range d.removing.steps {
		if r.state == waiting {
			d.set(r, arm.Failed, held, tx.Now())
			d.removing.failures = append(d.removing.failures, *held)
		}
	}
}

// removed goes on after a deletion has ended.
func (d *deployment) removed(tx *resource.Tx, r *deployed, failure *arm.Error) {
	if d.over.Load() {
		return
	}
	became := arm.Succeeded
	if failure != nil {
		became = arm.Failed
		d.removing.failures = append(d.removing.failures, *failure)
	}
	d.set(r, became, failure, tx.Now())
	d.remove(tx)
	d.advance(tx)
}
