package azure

import (
	"fmt"
	"net/http"
	"testing"
)

// A template names its role assignments by what they are for, and is deployed again and again; whose one is cannot be
// changed.
func TestARoleAssignmentIsPutAgain(t *testing.T) {
	const (
		path   = "resourceGroups/g/providers/Microsoft.Authorization/roleAssignments/"
		first  = "317e4c37-5fb8-5c6c-910e-81b1f3835cc0"
		second = "417e4c37-5fb8-5c6c-910e-81b1f3835cc0"
	)
	c := newClient(t)
	c.group()
	put := func(name, role, principal string) (int, string) {
		t.Helper()
		w := c.do(http.MethodPut, path+name, fmt.Sprintf(`{"properties":{"roleDefinitionId":"/subscriptions/%s/providers/Microsoft.Authorization/roleDefinitions/%s","principalId":%q}}`, testSubscription, role, principal))
		if w.Code >= http.StatusBadRequest {
			return w.Code, code(w)
		}
		return w.Code, ""
	}
	for i, x := range []struct {
		name, role, principal string
		status                int
		code                  string
	}{
		{first, "reader", "p", http.StatusCreated, ""},
		{first, "reader", "P", http.StatusOK, ""},
		{first, "reader", "q", http.StatusBadRequest, "RoleAssignmentUpdateNotPermitted"},
		{second, "reader", "q", http.StatusCreated, ""},
	} {
		if status, code := put(x.name, x.role, x.principal); status != x.status || code != x.code {
			t.Errorf("%d: %d %s, want %d %s", i, status, code, x.status, x.code)
		}
	}
}
