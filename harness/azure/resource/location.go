package resource

import (
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// elsewhere is the answer to a document that is to be in another location than it is.
func elsewhere(id arm.ID, is, wanted string) *arm.Error {
	if id.Provider == "" { // a group's (az group create)
		return arm.Gatewayf(http.StatusConflict, "InvalidResourceGroupLocation",
			"Invalid resource group location '%s'. The Resource group already exists in location '%s'.", wanted, is)
	}
	return arm.Gatewayf(http.StatusConflict, "InvalidResourceLocation",
		"The resource '%s' already exists in location '%s' in resource group '%s'. A resource with the same name cannot be created in location '%s'. Please select a new resource name.",
		id.Name(), is, id.ResourceGroup, wanted)
}

// located refuses a location that there is not, of something new: in the words that clients report (az webapp up, New-AzWvdHostPool). Types are in every region, or in none.
func (e *Engine) located(id arm.ID, typ *Type, body, old map[string]any) *arm.Error {
	wanted := arm.Text(body, "location")
	known := arm.SameLocation(wanted, e.options.Region) || slices.ContainsFunc(e.options.Regions, func(r string) bool { return arm.SameLocation(r, wanted) })
	if old != nil || !typ.Located || wanted == "" || len(e.options.Regions) == 0 || known && !typ.Global {
		return nil
	}
	all := strings.Join(e.options.Regions, ",")
	if typ.Global {
		if all = "global"; strings.EqualFold(wanted, all) {
			return nil
		}
	}
	if id.Provider == "" {
		return arm.Gatewayf(http.StatusBadRequest, "LocationNotAvailableForResourceGroup", "The provided location '%s' is not available for resource group. List of available regions is '%s'.", wanted, all)
	}
	return arm.Gatewayf(http.StatusBadRequest, "LocationNotAvailableForResourceType",
		"The provided location '%s' is not available for resource type '%s'. List of available regions for the resource type is '%s'.", wanted, typ.Name, all)
}
