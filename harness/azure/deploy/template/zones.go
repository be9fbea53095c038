package template

import (
	"slices"
	"strconv"
	"strings"
)

// zones are the functions that tell which of a region's zones in a subscription is which in the region (github.com/Azure/bicep, AzNamespaceType). Azure gives each
// subscription an order of its own; here it is the same in all of them: zone 1 of westeurope is westeurope-az1.
func zones() map[string]function {
	physical := func(s *Scope, location, zone string) (string, bool) {
		n, err := strconv.Atoi(zone)
		return regional(location) + "-az" + zone, err == nil && n >= 1 && n <= zonesOf(s, location) && strconv.Itoa(n) == zone
	}
	logical := func(s *Scope, location, zone string) (string, bool) {
		n, ours := strings.CutPrefix(strings.ToLower(zone), regional(location)+"-az")
		_, known := physical(s, location, n)
		return n, ours && known
	}
	return map[string]function{
		"tologicalzone": oneZone("toLogicalZone", logical), "tophysicalzone": oneZone("toPhysicalZone", physical),
		"tologicalzones": manyZones("toLogicalZones", logical), "tophysicalzones": manyZones("toPhysicalZones", physical),
	}
}

func regional(location string) string { return strings.ToLower(strings.ReplaceAll(location, " ", "")) }

// zonesOf is how many zones a region has, as its public addresses know it.
func zonesOf(s *Scope, location string) int {
	if s.Zones == nil {
		return 0
	}
	return s.Zones("Microsoft.Network", "publicIPAddresses", location)
}

type zoneOf func(s *Scope, location, zone string) (string, bool)

func oneZone(name string, of zoneOf) function {
	return function{least: 3, most: 3, do: func(s *Scope, a []any) (any, error) {
		w, err := words(name, a)
		if err != nil {
			return nil, err
		}
		z, ok := of(s, w[1], w[2])
		if !ok {
			return nil, wrong(name, "a zone that the region has", w[2])
		}
		return z, nil
	}}
}

func manyZones(name string, of zoneOf) function {
	return function{least: 3, most: 3, do: func(s *Scope, a []any) (any, error) {
		w, err := words(name, a[:2])
		if err != nil {
			return nil, err
		}
		list, ok := a[2].([]any)
		if !ok {
			return nil, wrong(name, "an array of zones", a[2])
		}
		each, err := words(name, slices.Clone(list))
		if err != nil {
			return nil, err
		}
		out := []any{}
		for _, zone := range each {
			z, known := of(s, w[1], zone)
			if !known {
				return nil, wrong(name, "zones that the region has", zone)
			}
			out = append(out, z)
		}
		return out, nil
	}}
}
