package azure

import (
	"fmt"
	"strings"
)

// there is the error for a resource whose group or parent does not exist.
func (v View) there(id ID) *Error {
	if id.ResourceGroup == "" || id.Provider == "" {
		return nil
	}
	if bad := v.groupThere(id); bad != nil {
		return bad
	}
	if len(id.Types) > 1 && len(id.Names) > 0 {
		parent := id.top(len(id.Types) - 1)
		if v.typeOf(parent) != nil && v.get(parent) == nil {
			e := notFound(parent)
			e.Code = "ParentResourceNotFound"
			e.Message = fmt.Sprintf("Failed to perform '%s' on resource(s) of type '%s', because the parent resource '%s' could not be found.", "action", strings.Join(id.Types, "/"), parent)
			return e
		}
	}
	return nil
}

// groupThere is the error for a resource group that does not exist.
func (v View) groupThere(id ID) *Error {
	if group := groupID(id); id.ResourceGroup != "" && v.get(group) == nil {
		return notFound(group)
	}
	return nil
}
