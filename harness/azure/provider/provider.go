// Package provider is the table of the resource providers' types, a file for each namespace. It knows the engine's transactions and views, and nothing of
// how a call came or what answers it.
package provider

import (
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/resource"
)

// Types lists every type of the resource providers.
func Types(m Machines) []*resource.Type {
	compute := machinery{m}
	network := networkTypes()
	for _, t := range network {
		if !strings.HasPrefix(t.Name, "Microsoft.Network/privateDnsZones") { // whose names are DNS's
			t.Rules = append(t.Rules, networkNamed, references)
		}
	}
	return slices.Concat(resourceTypes(), moveTypes(), operationTypes(), checkTypes(), catalogTypes(), authorizationTypes(), identityTypes(), storageTypes(), vaultTypes(), computeTypes(compute), scaleSetTypes(compute), network)
}
