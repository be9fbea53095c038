// Package arm is the vocabulary of Azure Resource Manager: ids, errors as they are answered, states, calls, clocks, and the JSON that documents are. It
// knows no resource, no type of one and no twin.
package arm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// ID is a path of Azure Resource Manager taken apart. Segments match whatever their case, and names keep the case they were written in.
type ID struct {
	Subscription  string
	ResourceGroup string
	Provider      string   // Microsoft.Compute; empty for subscriptions, resource groups and the like
	Types         []string // virtualMachineScaleSets, virtualMachines
	Names         []string // one for each type; one less when the path is a collection or an action
	Scope         string   // of an extension resource: what it is attached to
}

// Thing is types and names below the namespace in turn: virtualMachines/vm-1/extensions/cse.
func (id ID) Thing() string {
	var parts []string
	for i, name := range id.Names[:min(len(id.Names), len(id.Types))] {
		parts = append(parts, id.Types[i], name)
	}
	return strings.Join(parts, "/")
}

// ParseID takes a path apart. ok is false for what is no path of a subscription, nor one of the tenant itself. Slashes that follow each other count as one:
// the SDKs' generic calls have them where a resource has no parent.
func ParseID(path string) (id ID, ok bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if strings.Contains(path, "//") {
		parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
	}
	switch {
	case len(parts) == 0:
		return id, false
	case strings.EqualFold(parts[0], "subscriptions"):
	case len(parts) == 1 && strings.EqualFold(parts[0], "tenants"):
		return ID{Types: []string{"tenants"}}, true
	case strings.EqualFold(parts[0], "providers"):
		return tenantID(parts)
	default:
		return id, false
	}
	if last := lastProvider(parts); last > 2 && hasProviderBefore(parts, last) { // an extension resource, such as a role assignment on a machine
		id.Scope = "/" + strings.Join(parts[:last], "/")
	}
	if len(parts) > 1 {
		id.Subscription = parts[1]
	}
	rest := parts[min(2, len(parts)):]
	if len(rest) > 0 && strings.EqualFold(rest[0], "resourcegroups") {
		if len(rest) > 1 {
			id.ResourceGroup = rest[1]
		}
		if len(rest) <= 2 {
			id.Types, id.Names = []string{"resourceGroups"}, rest[1:]
			return id, true
		}
		if rest = rest[2:]; !withinGroup(rest) {
			return id, false
		}
	}
	if id.Scope != "" {
		rest = parts[lastProvider(parts):]
	}
	if len(rest) > 1 && strings.EqualFold(rest[0], "providers") {
		if len(rest) == 2 {
			id.Types, id.Names = []string{"providers"}, rest[1:]
			return id, true
		}
		id.Provider, rest = rest[1], rest[2:]
		if len(rest) == 1 && ofProvider(rest[0]) {
			id.Types, id.Names, id.Provider = []string{"providers", rest[0]}, []string{id.Provider}, ""
			return id, true
		}
	}
	if len(rest) == 0 {
		id.Types, id.Names = []string{"subscriptions"}, parts[1:min(2, len(parts))]
		return id, true
	}
	id.Types, id.Names = alternating(rest)
	return id, true
}

// tenantID takes a path apart that begins with a provider: what is the tenant's own. There are no management groups, nor what is attached to anything there.
func tenantID(parts []string) (id ID, ok bool) {
	switch {
	case lastProvider(parts) > 0 || len(parts) > 1 && strings.EqualFold(parts[1], "Microsoft.Management"):
		return id, false
	case len(parts) <= 2:
		return ID{Types: []string{"providers"}, Names: parts[1:]}, true
	}
	id.Provider = parts[1]
	id.Types, id.Names = alternating(parts[2:])
	return id, true
}

// alternating are the types of a path, and the names between them.
func alternating(parts []string) (types, names []string) {
	for i, p := range parts {
		if i%2 == 0 {
			types = append(types, p)
		} else {
			names = append(names, p)
		}
	}
	return types, names
}

// ofProvider reports whether something below a namespace is about the namespace itself, and no type in it.
func ofProvider(s string) bool {
	return slices.ContainsFunc([]string{"register", "unregister", "resourceTypes", "providerPermissions"}, func(name string) bool { return strings.EqualFold(name, s) })
}

// withinGroup reports whether something of a path can be in a resource group: groups and subscriptions are in none, and a namespace alone is nothing in it.
func withinGroup(rest []string) bool {
	switch strings.ToLower(rest[0]) {
	case "resourcegroups", "subscriptions":
		return false
	case "providers":
		return len(rest) > 2
	}
	return true
}

func lastProvider(parts []string) int {
	for i := len(parts) - 2; i > 1; i-- {
		if strings.EqualFold(parts[i], "providers") {
			return i
		}
	}
	return -1
}

func hasProviderBefore(parts []string, at int) bool {
	for _, p := range parts[2:at] {
		if strings.EqualFold(p, "providers") {
			return true
		}
	}
	return false
}

// Collection reports whether the path ends in a type: a collection of resources, or an action on one.
func (id ID) Collection() bool { return len(id.Types) > len(id.Names) }

// Type is the full type, Microsoft.Compute/virtualMachines; with action, the last segment is left out.
func (id ID) Type() string {
	return strings.TrimPrefix(id.Provider+"/"+strings.Join(id.Types, "/"), "/")
}

// AppendKind appends the full type in lower case, as types are told apart.
func (id ID) AppendKind(b []byte) []byte {
	at := len(b)
	b = append(b, id.Provider...)
	for i, t := range id.Types {
		if i > 0 || id.Provider != "" {
			b = append(b, '/')
		}
		b = append(b, t...)
	}
	return append(b[:at], lower(b[at:])...)
}

// Name is the last name; empty when there is none.
func (id ID) Name() string {
	if len(id.Names) == 0 {
		return ""
	}
	return id.Names[len(id.Names)-1]
}

// Parent is the path without its last segment: of an action the resource acted on.
func (id ID) Parent() ID {
	id.Types = id.Types[:len(id.Types)-1]
	return id
}

// Top is the resource that so many types and names of the path make: of a child, with one less, what it belongs to.
func (id ID) Top(n int) ID {
	id.Types, id.Names = id.Types[:min(n, len(id.Types))], id.Names[:min(n, len(id.Names))]
	return id
}

// Poll names the kind of poll a path is, as policies select it; empty: it is none.
func (id ID) Poll() string {
	if id.Collection() || len(id.Types) == 0 {
		return ""
	}
	last := id.Types[len(id.Types)-1]
	first := strings.EqualFold(id.Types[0], "locations")
	switch {
	case strings.EqualFold(last, "operationstatuses"):
		return "Microsoft.Resources/deployments/operationStatuses"
	case strings.EqualFold(last, "operationresults") && len(id.Types) == 1:
		return "operationResults"
	case first && strings.EqualFold(last, "diskoperations"):
		return "Microsoft.Compute/locations/DiskOperations"
	case first && (strings.EqualFold(last, "operations") || strings.EqualFold(last, "operationresults")):
		for _, known := range []string{"Microsoft.Compute", "Microsoft.Network"} {
			if strings.EqualFold(known, id.Provider) {
				return known + "/locations/operations"
			}
		}
		return "locations/operations"
	}
	return ""
}

// String is the path again.
func (id ID) String() string {
	var buf [256]byte
	return string(id.appendTo(buf[:0]))
}

func (id ID) appendTo(b []byte) []byte {
	add := func(what, name string) { b = append(append(b, what...), name...) }
	switch {
	case id.Scope != "":
		add("", id.Scope)
	case id.ResourceGroup != "":
		add("/subscriptions/", id.Subscription)
		add("/resourceGroups/", id.ResourceGroup)
	default:
		add("/subscriptions/", id.Subscription)
	}
	types := id.Types
	if id.Provider != "" {
		add("/providers/", id.Provider)
	} else if len(types) > 0 && (strings.EqualFold(types[0], "subscriptions") || strings.EqualFold(types[0], "resourceGroups")) {
		types = nil // said already
	}
	for i, t := range types {
		add("/", t)
		if i < len(id.Names) {
			add("/", id.Names[i])
		}
	}
	return b
}

// MarshalText is the path, so that an id can be kept.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads a path.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, ok := ParseID(string(text))
	if !ok {
		return fmt.Errorf("%q is not the id of a resource", text)
	}
	*id = parsed
	return nil
}

// Pattern is a path without the names in it, to count calls by: /subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/disks/{}. What is no path of
// ARM's is told as it is.
func Pattern(path string) string {
	if _, ok := ParseID(path); !ok {
		return path
	}
	parts := slices.DeleteFunc(strings.Split(path, "/"), func(p string) bool { return p == "" })
	name := false // whether what comes is one
	for i, p := range parts {
		space := i > 0 && strings.EqualFold(parts[i-1], "providers") && strings.Contains(p, ".")
		switch {
		case space: // a namespace, after which types begin anew
			name = false
		case strings.EqualFold(p, "providers"):
			name = true
		case name:
			parts[i], name = "{}", false
		default:
			name = true
		}
	}
	return "/" + strings.Join(parts, "/")
}

// Key is the path as the store compares it.
func (id ID) Key() string {
	var buf [256]byte
	return string(lower(id.appendTo(buf[:0])))
}

// lower is a text in lower case, in the place of what it was.
func lower(b []byte) []byte {
	for i, c := range b {
		switch {
		case c >= utf8.RuneSelf:
			return bytes.ToLower(b)
		case 'A' <= c && c <= 'Z':
			b[i] = c + 'a' - 'A'
		}
	}
	return b
}

// GroupID is the resource group of a resource.
func GroupID(id ID) ID {
	return ID{Subscription: id.Subscription, ResourceGroup: id.ResourceGroup, Types: []string{"resourceGroups"}, Names: []string{id.ResourceGroup}}
}
