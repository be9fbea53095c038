package deploy

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// How many deployments a resource group, or a subscription, keeps, from how many on the oldest are deleted, and down to how many (learn.microsoft.com "Automatic
// deletions from deployment history"; taskcluster#8387 has the error of the quota).
const (
	maxDeployments = 800
	groomedFrom    = 700
	groomedTo      = 600
	// groomedAfter is how long that takes to begin: it is told only that one may try again after a short wait.
	groomedAfter = 10 * time.Second
)

// history are the deployments of a group, or of a subscription itself.
func history(v resource.View, id arm.ID) (out []*state.Document) {
	all := id
	all.Names = nil
	for after, more := "", true; more; more = after != "" {
		var docs []*state.Document
		docs, after = v.List(all, after, maxDeployments+1)
		for _, doc := range docs {
			if strings.EqualFold(doc.ID.ResourceGroup, id.ResourceGroup) {
				out = append(out, doc)
			}
		}
	}
	return out
}

// groom gives how many deployments there are, and has the oldest deleted where they are too many: validating one, and asking what it would do, do that too.
func (ds *deployments) groom(tx *resource.Tx, id arm.ID) int {
	n := len(history(tx.View, id))
	if n > groomedFrom {
		tx.After(id.Subscription, groomedAfter, func(tx *resource.Tx) { ds.deleteOldest(tx, id) })
	}
	return n
}

// deleteOldest deletes what ended first. A lock keeps all of them; what runs stays.
func (ds *deployments) deleteOldest(tx *resource.Tx, id arm.ID) {
	docs := history(tx.View, id)
	if len(docs) <= groomedFrom || tx.Gate(docs[0].ID, resource.ToDelete) != nil {
		return
	}
	told := func(doc *state.Document) string { return arm.Text(doc.Body(), "properties", "timestamp") }
	slices.SortStableFunc(docs, func(a, b *state.Document) int { return cmp.Compare(told(a), told(b)) })
	for _, doc := range docs[:len(docs)-groomedTo] {
		if ds.find(doc.ID) == nil {
			tx.Erase(doc.ID)
		}
	}
}

// tooMany is the answer where there are as many deployments as are kept.
func tooMany(id arm.ID, n int) *arm.Error {
	return arm.Gatewayf(http.StatusConflict, "DeploymentQuotaExceeded",
		"Creating the deployment '%s' would exceed the quota of '%d'. The current deployment count is '%d'. Please delete some deployments before creating a new one, or see https://aka.ms/arm-deploy for information on managing deployment limits.",
		id.Name(), maxDeployments, n)
}
