package main

import (
	"go/ast"
	"go/token"
	"net/http"
	"strconv"
	"strings"
)

// status is the number of one of net/http's constants; 0: of none that services answer.
func status(constant string) int {
	for code := 100; code < 600; code++ {
		name := strings.NewReplacer(" ", "", "-", "", "'", "").Replace(http.StatusText(code))
		if name != "" && "Status"+name == constant {
			return code
		}
	}
	return 0
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// literal is the value of a string literal; empty: it is none.
func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

// idents are the plain names in an expression: arguments among them, packages and fields not.
func idents(e ast.Expr) []string {
	var out []string
	ast.Inspect(e, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.SelectorExpr:
			return false
		case *ast.CallExpr:
			for _, a := range x.Args {
				out = append(out, idents(a)...)
			}
			return false
		case *ast.Ident:
			out = append(out, x.Name)
		case *ast.CompositeLit:
			for _, el := range x.Elts {
				out = append(out, idents(el)...)
			}
			return false
		case *ast.KeyValueExpr:
			out = append(out, idents(x.Value)...)
			return false
		}
		return true
	})
	return out
}

// typeName spells a type as its source does.
func typeName(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.StarExpr:
		return "*" + typeName(x.X)
	case *ast.SelectorExpr:
		return typeName(x.X) + "." + x.Sel.Name
	case *ast.IndexExpr:
		return typeName(x.X) + "[" + typeName(x.Index) + "]"
	case *ast.ArrayType:
		return "[]" + typeName(x.Elt)
	case *ast.MapType:
		return "map[" + typeName(x.Key) + "]" + typeName(x.Value)
	case *ast.InterfaceType:
		return "any"
	default:
		return "?"
	}
}
