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

// checkRoleAssignment lets one be put again that is as it was, as templates do that name it by what it is for (AKS Engine's, at every upgrade); whose it is cannot
// be changed (MicrosoftDocs/azure-docs#85388, with the text; the status in Azure/Azure-Landing-Zones#2040).
func checkRoleAssignment(_ *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	for _, p := range []string{"roleDefinitionId", "principalId"} {
		if arm.Text(body, "properties", p) == "" {
			return arm.Errorf(http.StatusBadRequest, "InvalidRoleAssignment", "The '%s' property of the role assignment is missing.", p)
		}
	}
	if old != nil && !strings.EqualFold(arm.Text(body, "properties", "principalId"), arm.Text(old, "properties", "principalId")) {
		return arm.Errorf(http.StatusBadRequest, "RoleAssignmentUpdateNotPermitted", "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.")
	}
	scope := id
	scope.Provider, scope.Types = "", nil // the path before the extension's own
	arm.Object(body, "properties")["scope"] = scope.String()
	return nil
}
