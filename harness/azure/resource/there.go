package resource

import (
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// there is the error for a resource whose group or parent does not exist.
func (v View) there(id arm.ID) *arm.Error {
	if id.ResourceGroup == "" || id.Provider == "" {
		return nil
	}
	if bad := v.groupThere(id); bad != nil {
		return bad
	}
	if len(id.Types) > 1 && len(id.Names) > 0 {
		parent := id.Top(len(id.Types) - 1)
		if v.TypeOf(parent) != nil && v.Get(parent) == nil {
			e := arm.NotFound(parent)
			e.Code = "ParentResourceNotFound"
			e.Message = fmt.Sprintf("Failed to perform '%s' on resource(s) of type '%s', because the parent resource '%s' could not be found.", "action", strings.Join(id.Types, "/"), parent)
			return e
		}
	}
	return nil
}

// groupThere is the error for a resource group that does not exist.
func (v View) groupThere(id arm.ID) *arm.Error {
	if group := arm.GroupID(id); id.ResourceGroup != "" && v.Get(group) == nil {
		return arm.NotFound(group)
	}
	return nil
}
