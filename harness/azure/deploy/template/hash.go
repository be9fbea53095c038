package template

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Hash is a template's, as deployments tell it and as Bicep writes it into what it compiles: the template is read into the service's own classes,
// written again without spaces, in upper case, and MurmurHash64 is taken of that. That it is so is in the example of calculateTemplateHash
// (github.com/Azure/azure-rest-api-specs, Microsoft.Resources, CalculateTemplateHash.json); the classes' order is nowhere written, and is what gives the hashes
// of Bicep's samples and of azure-quickstart-templates, of Bicep 0.13 and later. What a class has beside those members is taken as it is written.
// The hash that a compiler wrote into the template is left out: Bicep takes it of what has none yet. That deployments tell the same is not shown.
func (s Source) Hash() string {
	return strconv.FormatUint(murmur64([]byte(s.Minified())), 10)
}

// Minified is the text that the hash is of.
func (s Source) Minified() string {
	if s.node == nil {
		return ""
	}
	var b strings.Builder
	s.node.write(&b, templateClass(), []string{"metadata", "_generator", "templateHash"})
	return strings.ToUpper(b.String())
}

// class is one of the service's: its members in the order it writes them.
type class struct {
	order []string
	of    map[string]*class // of members that are of classes themselves; "": of all that are not named
}

func templateClass() *class {
	each := func(order ...string) *class { return &class{of: map[string]*class{"": {order: order}}} }
	return &class{
		order: []string{"$schema", "languageVersion", "contentVersion", "apiProfile", "definitions", "parameters", "variables", "functions", "resources", "outputs", "metadata"},
		of: map[string]*class{
			"parameters": each("defaultValue", "allowedValues", "minLength", "type", "metadata"),
			"resources":  each("type", "apiVersion", "name", "location", "dependsOn", "sku", "kind", "properties", "condition", "copy", "scope", "subscriptionId", "resourceGroup"),
			"outputs":    each("type", "value"),
		},
	}
}

// write writes a value as one of a class, without what is at a path.
func (n *part) write(b *strings.Builder, of *class, without []string) {
	if of == nil {
		of = &class{}
	}
	switch n.kind {
	case '{':
		b.WriteByte('{')
		between := ""
		for _, i := range n.sorted(of.order) {
			name := n.names[i]
			var rest []string
			if len(without) > 0 && strings.EqualFold(name, without[0]) {
				if rest = without[1:]; len(rest) == 0 {
					continue
				}
			}
			inner, own := of.of[name]
			if !own {
				inner = of.of[""]
			}
			b.WriteString(between)
			writeText(b, name)
			b.WriteByte(':')
			n.values[i].write(b, inner, rest)
			between = ","
		}
		b.WriteByte('}')
	case '[':
		b.WriteByte('[')
		for i, v := range n.values {
			if i > 0 {
				b.WriteByte(',')
			}
			v.write(b, of.of[""], nil)
		}
		b.WriteByte(']')
	default:
		n.writePlain(b)
	}
}

func (n *part) writePlain(b *strings.Builder) {
	switch x := n.plain.(type) {
	case string:
		writeText(b, x)
	case json.Number:
		b.WriteString(x.String())
	default:
		b.WriteString(compact(x))
	}
}

// writeText writes a text as the service's JSON library does.
func writeText(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		short := strings.IndexRune("\"\\\n\r\t\b\f", r)
		switch {
		case short >= 0:
			b.WriteByte('\\')
			b.WriteByte("\"\\nrtbf"[short])
		case r < 0x20 || r == 0x85 || r == 0x2028 || r == 0x2029:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
