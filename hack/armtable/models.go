package main

import (
	"bytes"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// models are the documents that a package's operations send and get.
type models struct {
	structs map[string]*ast.StructType
	texts   map[string]bool              // types that are texts: sets of values
	values  map[string][]string          // of each, what it may be
	keys    map[string]map[string]string // struct -> field -> its name in JSON
}

func newModels() models {
	return models{structs: map[string]*ast.StructType{}, texts: map[string]bool{}, values: map[string][]string{}, keys: map[string]map[string]string{}}
}

// declare remembers types and the values of those that are texts.
func (m models) declare(d *ast.GenDecl) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			switch t := s.Type.(type) {
			case *ast.StructType:
				m.structs[s.Name.Name] = t
			case *ast.Ident:
				m.texts[s.Name.Name] = t.Name == "string"
			}
		case *ast.ValueSpec:
			if of, ok := s.Type.(*ast.Ident); ok && d.Tok == token.CONST && len(s.Values) == 1 && literal(s.Values[0]) != "" {
				m.values[of.Name] = append(m.values[of.Name], literal(s.Values[0]))
			}
		}
	}
}

// marshal reads the names that a model's fields have in JSON: MarshalJSON has populate(objectMap, "diskSizeGB", d.DiskSizeGB), with one function for each
// form of a time.
func (m models) marshal(fn *ast.FuncDecl) {
	of, ok := fn.Recv.List[0].Type.(*ast.Ident)
	if !ok || fn.Name.Name != "MarshalJSON" {
		return
	}
	names := map[string]string{}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		var key string
		var field ast.Expr
		switch x := n.(type) {
		case *ast.CallExpr:
			if len(x.Args) < 3 || !isIdent(x.Args[0], "objectMap") {
				return true
			}
			key, field = literal(x.Args[1]), x.Args[2]
		case *ast.AssignStmt: // objectMap["kind"] = s.Kind, of what tells models of one family apart
			at, ok := x.Lhs[0].(*ast.IndexExpr)
			if !ok || !isIdent(at.X, "objectMap") {
				return true
			}
			key, field = literal(at.Index), x.Rhs[0]
		}
		if sel, ok := field.(*ast.SelectorExpr); ok && key != "" {
			names[sel.Sel.Name] = key
		}
		return true
	})
	m.keys[of.Name] = names
}

// kind is how the table writes a type: s text, i whole number, n number, b boolean, o anything, [] and {} before what a list and a map have, and the name of a
// model or of a set of values.
func (m models) kind(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.StarExpr:
		return m.kind(x.X)
	case *ast.ArrayType:
		if isIdent(x.Elt, "byte") {
			return "s"
		}
		return "[]" + m.kind(x.Elt)
	case *ast.MapType:
		return "{}" + m.kind(x.Value)
	case *ast.SelectorExpr: // time.Time
		return "s"
	case *ast.Ident:
		switch x.Name {
		case "string":
			return "s"
		case "int32", "int64":
			return "i"
		case "float32", "float64":
			return "n"
		case "bool":
			return "b"
		}
		if m.structs[x.Name] != nil || m.texts[x.Name] && len(m.values[x.Name]) > 0 {
			return x.Name
		}
	}
	return "o"
}

// line is a model's or a set's: its name, "=" and its fields, a "!" behind what the service alone writes; or its name, ":" and its values.
func (s *source) line(name string) (line string, uses []string) {
	full := s.name + "." + name
	if of := s.models.structs[name]; of != nil {
		var fields []string
		for _, f := range of.Fields.List {
			for _, n := range f.Names {
				key := s.models.keys[name][n.Name]
				if key == "" { // it is not sent, as AdditionalProperties
					continue
				}
				kind := s.models.kind(f.Type)
				if base := strings.TrimLeft(kind, "[]{}"); len(base) > 1 {
					uses = append(uses, base)
				}
				if strings.HasPrefix(f.Doc.Text(), "READ-ONLY") {
					kind += "!"
				}
				fields = append(fields, key+" "+kind)
			}
		}
		slices.Sort(fields)
		return full + "=" + strings.Join(fields, ","), uses
	}
	return full + ":" + strings.Join(s.models.values[name], "|"), nil
}

// bodies is the other file: the model of each request's body by verb and type or action, and all models that they have in them.
func bodies(all []*source) []byte {
	var b bytes.Buffer
	b.WriteString("# The documents that Azure's Go SDK sends; written by hack/armtable from the source of the modules that operations.tsv names.\n")
	b.WriteString("# \"VERB type model\"; model=field kind,…; set:value|…. Kinds: s text, i whole number, n number, b boolean, o anything, [] list of, {} map of; \"!\": read-only.\n")
	heads, lines := map[string]string{}, map[string]bool{}
	for _, s := range all {
		seen := map[string]bool{}
		var reach func(name string)
		reach = func(name string) {
			if seen[name] {
				return
			}
			seen[name] = true
			line, uses := s.line(name)
			lines[line] = true
			for _, u := range uses {
				reach(u)
			}
		}
		for _, o := range s.operations {
			what, model := o.writes()
			if what == "" || s.models.structs[model] == nil {
				continue
			}
			if had := heads[what]; had == "" || s.name+"."+model < had {
				heads[what] = s.name + "." + model
			}
			reach(model)
		}
	}
	var out []string
	for what, model := range heads {
		out = append(out, what+" "+model)
	}
	for line := range lines {
		out = append(out, line)
	}
	slices.Sort(out)
	b.WriteString(strings.Join(out, "\n") + "\n")
	return b.Bytes()
}

// writes is what an operation with a body does, VERB type[/action], and the body's model; empty: it has none, or its type is the caller's.
func (o operation) writes() (what, model string) {
	for _, a := range o.args {
		if m, ok := strings.CutPrefix(a, "="); ok {
			model = m
		}
	}
	if model == "" || o.verb == "GET" {
		return "", ""
	}
	parts := strings.Split(strings.Trim(o.path, "/"), "/")
	var types []string
	for i := len(parts) - 1; i >= 0; i-- {
		if strings.EqualFold(parts[i], "providers") || i < 2 && strings.EqualFold(parts[0], "subscriptions") {
			break
		}
		if !strings.HasPrefix(parts[i], "{") {
			types = append(types, parts[i])
		} else if i > 0 && strings.EqualFold(parts[i-1], "providers") {
			return "", ""
		}
	}
	slices.Reverse(types)
	return o.verb + " " + strings.Join(types, "/"), model
}
