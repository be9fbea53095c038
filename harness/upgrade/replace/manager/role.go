package manager

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"
	"github.com/google/uuid"
)

// Identity is who a machine is to the Resource Manager.
type Identity struct {
	Type         string                    `json:"type,omitempty"` // SystemAssigned, UserAssigned, or both; empty: it is nobody
	Principal    string                    `json:"principalId,omitempty"`
	UserAssigned map[string]map[string]any `json:"userAssignedIdentities,omitempty"` // by id
}

// own reports whether the machine has an identity that comes and goes with it.
func (i Identity) own() bool { return strings.Contains(strings.ToLower(i.Type), "systemassigned") }

// Asked is the identity as a template asks for it: the principal of a machine's own is made with the machine.
func (i Identity) Asked() map[string]any {
	var types []string
	out, all := map[string]any{}, map[string]any{}
	if i.own() {
		types = append(types, "SystemAssigned")
	}
	for _, id := range slices.Sorted(maps.Keys(i.UserAssigned)) {
		all[id] = map[string]any{}
	}
	if len(all) > 0 {
		types, out["userAssignedIdentities"] = append(types, "UserAssigned"), all
	}
	out["type"] = cmp.Or(strings.Join(types, ", "), "None")
	return out
}

// Lacks says what of another identity this one has not; empty: nothing.
func (i Identity) Lacks(of Identity) string {
	if of.own() && !i.own() {
		return "an identity of its own"
	}
	for _, id := range slices.Sorted(maps.Keys(of.UserAssigned)) {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(i.UserAssigned)), func(has string) bool { return strings.EqualFold(has, id) }) {
			return "the identity " + Short(id)
		}
	}
	return ""
}

// Role is what a principal may do, and where.
type Role struct {
	ID         string `json:"id"`
	Properties struct {
		Definition string `json:"roleDefinitionId"`
		Principal  string `json:"principalId"`
		Scope      string `json:"scope"`
	} `json:"properties"`
}

// Same reports whether two roles permit the same, whoever has them.
func (r Role) Same(other Role) bool {
	return strings.EqualFold(r.Properties.Definition, other.Properties.Definition) && strings.EqualFold(r.Properties.Scope, other.Properties.Scope)
}

// Roles are those that a principal has in the subscription: also one that is gone, whose roles nobody else deletes.
func (c *Client) Roles(ctx context.Context, principal string) ([]Role, error) {
	subscription, _, _ := strings.Cut(c.Group, "/resourceGroups/")
	query := url.Values{"api-version": {versionRole}, "$filter": {"principalId eq '" + principal + "'"}}
	return list[Role](ctx, c, "roles of "+principal, subscription+roleAssignments+"?"+query.Encode())
}

const roleAssignments = "/providers/Microsoft.Authorization/roleAssignments"

// Permit gives a principal a role that another has. Its name is made of what it says: whoever does so again finds it done.
func (c *Client) Permit(ctx context.Context, principal string, r Role) error {
	says := r.Properties
	name := uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.ToLower(says.Scope+" "+says.Definition+" "+principal))).String()
	// A directory hears of a principal that was made a moment ago later than this does, and with its type it is not looked up there.
	asked := armresources.GenericResource{Properties: map[string]any{"roleDefinitionId": says.Definition, "principalId": principal, "principalType": "ServicePrincipal"}}
	poller, err := c.resources.BeginCreateOrUpdateByID(ctx, strings.TrimSuffix(says.Scope, "/")+roleAssignments+"/"+name, versionRole, asked, nil)
	if err == nil {
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: c.every})
	}
	return wrong(fmt.Sprintf("give %s the role %s at %s", principal, Short(says.Definition), says.Scope), err)
}
