package azure

import "slices"

// providerTypes lists every type of the resource providers.
func providerTypes(m Machines) []*Type {
	compute := machinery{m}
	return slices.Concat(resourceTypes(), authorizationTypes(), identityTypes(), storageTypes(), computeTypes(compute), scaleSetTypes(compute), networkTypes())
}
