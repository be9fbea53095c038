package azure

import (
	"net/http"
	"strings"
)

// authorizationTypes are Microsoft.Authorization's.
func authorizationTypes() []*Type {
	return []*Type{
		{name: "Microsoft.Authorization/roleAssignments", check: checkRoleAssignment},
	}
}

func checkRoleAssignment(_ *Tx, id ID, body, old map[string]any) *Error {
	if old != nil {
		return errorf(http.StatusConflict, "RoleAssignmentExists", "The role assignment already exists. The ID of the existing role assignment is %s.", strings.ReplaceAll(id.Name(), "-", ""))
	}
	for _, p := range []string{"roleDefinitionId", "principalId"} {
		if text(body, "properties", p) == "" {
			return errorf(http.StatusBadRequest, "InvalidRoleAssignment", "The '%s' property of the role assignment is missing.", p)
		}
	}
	scope := id
	scope.Provider = "" // the path before the extension's own
	object(body, "properties")["scope"] = scope.String()
	return nil
}
