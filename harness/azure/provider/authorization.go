package provider

import (
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// authorizationTypes are Microsoft.Authorization's.
func authorizationTypes() []*resource.Type {
	return []*resource.Type{
		{Name: "Microsoft.Authorization/roleAssignments", AtOnce: resource.Every, No: resource.Patches, Plain: true, Wide: true, Returns: true, Check: checkRoleAssignment,
			Absent: arm.Absence{Code: "RoleAssignmentNotFound", Format: "The role assignment '%s' is not found."}},
		{Name: lockType, AtOnce: resource.Every, No: resource.Patches, Plain: true, Wide: true, Check: checkLock, Absent: arm.Absence{Code: "LockNotFound", Format: "The lock '%s' could not be found."}},
	}
}

func checkRoleAssignment(_ *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	if old != nil {
		return arm.Errorf(http.StatusConflict, "RoleAssignmentExists", "The role assignment already exists. The ID of the existing role assignment is %s.", strings.ReplaceAll(id.Name(), "-", ""))
	}
	for _, p := range []string{"roleDefinitionId", "principalId"} {
		if arm.Text(body, "properties", p) == "" {
			return arm.Errorf(http.StatusBadRequest, "InvalidRoleAssignment", "The '%s' property of the role assignment is missing.", p)
		}
	}
	scope := id
	scope.Provider, scope.Types = "", nil // the path before the extension's own
	arm.Object(body, "properties")["scope"] = scope.String()
	return nil
}
