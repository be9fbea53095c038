package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// source is one package of clients.
type source struct {
	path, name, dir, version string

	funcs      map[string]*ast.FuncDecl            // NewXClient
	methods    map[string]map[string]*ast.FuncDecl // client -> method
	operations []operation
	models     models
}

// operation is one public method of a client.
type operation struct {
	client, method string
	verb, path     string
	version        string   // api-version; "?": the caller gives it
	codes          []string // that are no error to the SDK
	form           string
	args           []string // beside context and options
}

func (o operation) line(pkg string) string {
	return strings.Join([]string{o.path, o.verb, strings.Join(o.codes, ","), o.form, o.version, pkg + "." + o.client + "." + o.method, strings.Join(o.args, ",")}, "\t")
}

// read parses the package and collects its operations.
func (s *source) read() error {
	s.funcs, s.methods, s.models = map[string]*ast.FuncDecl{}, map[string]map[string]*ast.FuncDecl{}, newModels()
	files, err := filepath.Glob(filepath.Join(s.dir, "*.go"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		src, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f, src, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		for _, d := range tree.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Body != nil {
					s.keep(d)
				}
			case *ast.GenDecl:
				s.models.declare(d)
			}
		}
	}
	var problems []error
	used := map[*ast.FuncDecl]bool{}
	for client, methods := range s.methods {
		for name, fn := range methods {
			if !ast.IsExported(name) || !calls(fn, "internal") && s.request(client, fn) == nil {
				continue
			}
			o, err := s.operation(client, fn)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s.%s: %w", client, name, err))
				continue
			}
			s.operations = append(s.operations, o)
			used[s.request(client, fn)] = true
		}
	}
	return errors.Join(append(problems, s.unused(used)...)...)
}

// unused are the requests that no operation makes: there must be none, or something of the SDK was not understood.
func (s *source) unused(used map[*ast.FuncDecl]bool) []error {
	var out []error
	for client, methods := range s.methods {
		for name, fn := range methods {
			if strings.HasSuffix(name, "CreateRequest") && !used[fn] {
				out = append(out, fmt.Errorf("%s.%s belongs to no operation", client, name))
			}
		}
	}
	return out
}

// keep remembers a function, or a method of a client.
func (s *source) keep(fn *ast.FuncDecl) {
	if fn.Recv == nil {
		s.funcs[fn.Name.Name] = fn
		return
	}
	star, ok := fn.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		s.models.marshal(fn)
		return
	}
	of, ok := star.X.(*ast.Ident)
	if !ok || !strings.HasSuffix(of.Name, "Client") {
		return
	}
	if s.methods[of.Name] == nil {
		s.methods[of.Name] = map[string]*ast.FuncDecl{}
	}
	s.methods[of.Name][fn.Name.Name] = fn
}

// operation puts together what a public method does: it, the private method that does the call, and the one that makes the request.
func (s *source) operation(client string, fn *ast.FuncDecl) (operation, error) {
	o := operation{client: client, method: fn.Name.Name}
	request := s.request(client, fn)
	if request == nil {
		return o, errors.New("makes no request that could be found")
	}
	names, err := o.readRequest(request)
	if err != nil {
		return o, err
	}
	o.readForm(fn)
	for _, f := range append([]*ast.FuncDecl{fn}, s.called(client, fn)...) {
		o.codes = append(o.codes, codes(f)...)
	}
	if len(o.codes) == 0 && strings.HasSuffix(o.form, "page") {
		o.codes = []string{"200"} // runtime.FetcherForNextLink's own
	}
	slices.Sort(o.codes)
	o.codes = slices.Compact(o.codes)
	if len(o.codes) == 0 {
		return o, errors.New("accepts no status that could be found")
	}
	for _, field := range fn.Type.Params.List {
		for _, name := range field.Names {
			if name.Name == "ctx" || name.Name == "options" {
				continue
			}
			as, known := names[name.Name]
			if !known {
				return o, fmt.Errorf("where argument %s goes could not be found", name.Name)
			}
			if as == "=" {
				as += typeName(field.Type)
			}
			o.args = append(o.args, as)
		}
	}
	return o, nil
}

// request is the method that makes the request: called by the public one itself, or by the private one it calls.
func (s *source) request(client string, fn *ast.FuncDecl) *ast.FuncDecl {
	for _, f := range append([]*ast.FuncDecl{fn}, s.called(client, fn)...) {
		for _, g := range s.called(client, f) {
			if strings.HasSuffix(g.Name.Name, "CreateRequest") {
				return g
			}
		}
	}
	return nil
}

// called are the methods of the same client that a method calls.
func (s *source) called(client string, fn *ast.FuncDecl) []*ast.FuncDecl {
	var out []*ast.FuncDecl
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && isIdent(sel.X, "client") {
			if m := s.methods[client][sel.Sel.Name]; m != nil && m != fn && !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
		return true
	})
	return out
}

// calls reports whether a method uses a field of its client.
func calls(fn *ast.FuncDecl, field string) bool {
	found := false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && isIdent(sel.X, "client") && sel.Sel.Name == field {
			found = true
		}
		return !found
	})
	return found
}

// readRequest takes verb, path and api-version from the method that makes the request, and says where each of its arguments goes.
func (o *operation) readRequest(fn *ast.FuncDecl) (map[string]string, error) {
	names := map[string]string{}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.AssignStmt:
			if lit := literal(x.Rhs[0]); isIdent(x.Lhs[0], "urlPath") && lit != "" {
				o.path = lit
			}
			if at, ok := x.Lhs[0].(*ast.IndexExpr); ok && literal(at.Index) != "" { // req.Raw().Header["If-Match"] = []string{ifMatch}
				for _, name := range idents(x.Rhs[0]) {
					names[name] = "!" + literal(at.Index)
				}
			}
		case *ast.CallExpr:
			o.readCall(x, names)
		}
		return true
	})
	if o.path == "" || o.verb == "" {
		return nil, fmt.Errorf("%s: verb %q, path %q", fn.Name.Name, o.verb, o.path)
	}
	if o.version == "" {
		o.version = "-"
	}
	if !strings.HasPrefix(o.path, "/") {
		o.path = "/" + o.path
	}
	return names, nil
}

// readCall looks at one call of the method that makes the request.
func (o *operation) readCall(call *ast.CallExpr, names map[string]string) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	switch {
	case sel.Sel.Name == "ReplaceAll" && len(call.Args) == 3 && isIdent(call.Args[0], "urlPath"):
		for _, name := range idents(call.Args[2]) {
			names[name] = literal(call.Args[1])
		}
	case sel.Sel.Name == "NewRequest" && len(call.Args) == 3:
		if verb, ok := call.Args[1].(*ast.SelectorExpr); ok {
			o.verb = strings.ToUpper(strings.TrimPrefix(verb.Sel.Name, "Method"))
		}
	case sel.Sel.Name == "Set" && len(call.Args) == 2:
		key := literal(call.Args[0])
		if key == "api-version" {
			if o.version = literal(call.Args[1]); o.version == "" {
				o.version = "?"
			}
		}
		for _, name := range idents(call.Args[1]) {
			if names[name] == "" {
				names[name] = "?" + key
			}
		}
	case strings.HasPrefix(sel.Sel.Name, "MarshalAs") && len(call.Args) == 2:
		for _, name := range idents(call.Args[1]) {
			if names[name] == "" {
				names[name] = "="
			}
		}
	}
}

// readForm says how the public method is followed: at once, by pages, or by polls that end at a place of their own.
func (o *operation) readForm(fn *ast.FuncDecl) {
	o.form = "now"
	if fn.Type.Results == nil {
		return
	}
	result := typeName(fn.Type.Results.List[0].Type)
	switch {
	case strings.HasPrefix(result, "*runtime.Pager"):
		o.form = "page"
	case strings.HasPrefix(result, "*runtime.Poller"):
		o.form = "lro"
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			if kv, ok := n.(*ast.KeyValueExpr); ok && isIdent(kv.Key, "FinalStateVia") {
				if sel, ok := kv.Value.(*ast.SelectorExpr); ok {
					o.form = "lro:" + finalState(sel.Sel.Name)
				}
			}
			return true
		})
		if strings.Contains(result, "runtime.Pager") {
			o.form += "+page"
		}
	}
}

// finalState is the specification's word (x-ms-long-running-operation-options) for the SDK's constant.
func finalState(constant string) string {
	switch constant {
	case "FinalStateViaAzureAsyncOp":
		return "azure-async-operation"
	case "FinalStateViaLocation":
		return "location"
	case "FinalStateViaOriginalURI":
		return "original-uri"
	case "FinalStateViaOpLocation":
		return "operation-location"
	default:
		return constant
	}
}

// codes are the statuses that a method takes for an answer.
func codes(fn *ast.FuncDecl) []string {
	var out []string
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); !ok || sel.Sel.Name != "HasStatusCode" {
			return true
		}
		for _, arg := range call.Args[1:] {
			if sel, ok := arg.(*ast.SelectorExpr); ok {
				out = append(out, strconv.Itoa(status(sel.Sel.Name)))
			}
		}
		return true
	})
	return out
}
