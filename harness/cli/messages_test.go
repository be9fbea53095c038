package cli

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"drydock.dev/drydock/docs"
)

// TestTroubleshootingHasRealMessages: each message of its tables is in a string of the code, with … where that has a verb, or ends or begins.
func TestTroubleshootingHasRealMessages(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(tree, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := docs.Parse("docs/troubleshooting.md", raw)
	if err != nil {
		t.Fatal(err)
	}
	said, err := strs(tree)
	if err != nil {
		t.Fatal(err)
	}
	messages := 0
	for _, table := range p.Tables {
		for _, row := range table[1:] {
			messages++
			if !inCode(row[0], said) {
				t.Errorf("%q is no message of the code", row[0])
			}
		}
	}
	if messages < 30 {
		t.Errorf("%d messages: are the tables read?", messages)
	}
	for message, want := range map[string]bool{
		"unknown fault …; known: …": true, "unknown fault …": true, "unknown fault": true, "unknown fault …; known": true,
		"unknown faults …; known: …": false, "unknown … fault; known: …": false, "unknown fault …; known: … and more": false, "…": false, "": false, "known: …": false,
		"TestTroubleshootingHasRealMessages": false, "Troubleshooting, by error message": false,
	} {
		if got := inCode(message, said); got != want {
			t.Errorf("%q: %v", message, got)
		}
	}
}

// inCode reports whether a message, of twelve letters and more, is a string of the code or a part of one. That which ends with … may be cut off there.
func inCode(message string, said []string) bool {
	message = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(message, "`", ""), "…"), "…"))
	return len(strings.ReplaceAll(message, "…", "")) >= 12 && slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, message) })
}

// strs are the strings of the code that may be said to a user, with … for each verb; those that are put together by + as one.
func strs(root string) ([]string, error) {
	verb := regexp.MustCompile(`[\x60"]?%(\[\d\])?[+#]?[\d.]*[sqvdwfxT][\x60"]?`)
	var out []string
	for _, dir := range []string{"harness", "reports", "scenarios", "fixtures"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				e, is := n.(ast.Expr)
				if s := literal(e); is && s != "" {
					out = append(out, verb.ReplaceAllString(strings.ReplaceAll(s, "`", ""), "…"))
					return false
				}
				return true
			})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// literal is the text of a string, or of several that + joins; … stands for what is none.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		if err == nil && e.Kind == token.STRING {
			return s
		}
	case *ast.BinaryExpr:
		if x, y := literal(e.X), literal(e.Y); e.Op == token.ADD && x+y != "" {
			return cmp.Or(x, "…") + cmp.Or(y, "…")
		}
	}
	return ""
}
