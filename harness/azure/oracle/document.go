package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Document is docs/arm.md: what of the SDK's operations the twin answers, and what not.
func Document(held []Held) string {
	spaces := map[string][]Held{}
	answered := 0
	for _, h := range held {
		spaces[h.Namespace()] = append(spaces[h.Namespace()], h)
		if h.Claim != nil {
			answered++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# What of Azure the twin answers

Made of the code by `+"`go test ./harness/azure/oracle -update`"+`. The operations are those of Azure's own Go SDK, read from its source into
`+"`fixtures/arm/operations.tsv`"+` (its head names the modules and versions): %d, of which the twin answers %d. What it does not answer it refuses as ARM
refuses what it does not know, so that no client takes silence for success. That what it answers is what the SDK takes, code by code, is held by
the test above; that the SDK itself makes each of these calls and reads the answer, by `+"`suites/azure`"+`.

| namespace | operations | answered |
|---|---|---|
`, len(held), answered)
	names := slices.Sorted(maps.Keys(spaces))
	for _, n := range names {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", n, len(spaces[n]), claimed(spaces[n]))
	}
	for _, n := range names {
		fmt.Fprintf(&b, "\n## %s\n", n)
		if claimed(spaces[n]) > 0 {
			b.WriteString("\nAnswered:\n\n")
			byKind(spaces[n], true, func(kind string, list []string) { fmt.Fprintf(&b, "- %s: %s\n", kind, strings.Join(list, ", ")) })
		}
		var missing []string
		byKind(spaces[n], false, func(kind string, list []string) { missing = append(missing, fmt.Sprintf("%s (%d)", kind, len(list))) })
		if len(missing) > 0 {
			fmt.Fprintf(&b, "\nNot answered, with the number of operations: %s.\n", strings.Join(missing, ", "))
		}
	}
	return b.String()
}

func claimed(list []Held) int {
	n := 0
	for _, h := range list {
		if h.Claim != nil {
			n++
		}
	}
	return n
}

// byKind goes through those that are answered, or are not, by resource type: what the SDK calls each, with actions by their own names.
func byKind(list []Held, answered bool, each func(kind string, list []string)) {
	kinds := map[string][]string{}
	for _, h := range list {
		if (h.Claim != nil) == answered {
			kind, what := h.kind()
			kinds[kind] = append(kinds[kind], what)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		slices.Sort(kinds[k])
		each(k, slices.Compact(kinds[k]))
	}
}

// kind is the type of a path below its namespace, and what is done to it: GET, LIST, POST start.
func (o Operation) kind() (kind, what string) {
	parts := strings.Split(strings.Trim(o.Path, "/"), "/")
	for i := len(parts) - 2; i >= 0; i-- {
		if strings.EqualFold(parts[i], "providers") {
			parts = parts[i+2:]
			break
		}
	}
	if len(parts) > 2 && parts[0] == "subscriptions" {
		parts = parts[2:]
	}
	var types []string
	for _, p := range parts {
		if !strings.HasPrefix(p, "{") {
			types = append(types, p)
		}
	}
	collection := len(parts) > 0 && !strings.HasPrefix(parts[len(parts)-1], "{")
	what = o.Verb
	switch {
	case o.Verb == "POST" && collection && len(types) > 1:
		what, types = "POST "+types[len(types)-1], types[:len(types)-1]
	case o.Verb == "GET" && collection && o.Form == "page":
		what = "LIST"
	}
	if len(types) == 0 {
		return "(any)", what
	}
	return strings.Join(types, "/"), what
}
