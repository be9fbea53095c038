// Package docs reads the pages of this directory and the README: the commands that they show, what these print, and what they name. Tests hold both to
// the code (harness/cli) and type the commands as a reader would (suites/docs).
//
// A reader's commands are in blocks of console: a line that begins with "$ " is a command, "> " goes on with it, and every other line is what it prints,
// where … stands for anything. A page is one session from its first block to its last. A comment before a block says what is done with it:
//
//	<!-- not run: REASON -->  nobody types it in a test; Reasons has them all
//	<!-- file: NAME -->       the block is a file of the session, as the text beside it says
package docs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// What is between these two is written by a test of what the code says.
const (
	MadeOfTheCode = "<!-- made of the code: go test ./harness/cli -update -->"
	MadeSoFar     = "<!-- made so far -->"
)

// Page is what tests know of one.
type Page struct {
	Path     string // from the root of the tree
	Blocks   []Block
	Spans    []Text // what stands in the text as code
	Links    []Text
	Headings []string
	Tables   [][][]string // rows of cells, the heading first, each cell as it was written
}

// Text is a piece of a page.
type Text struct {
	Line int
	Text string
}

// Block is a block of code.
type Block struct {
	Line     int
	Language string // empty of one that is only indented
	Text     string
	NotRun   string // why no test types it
	File     string // what it is to be saved as
}

// Command is one command of a block, and what it prints.
type Command struct {
	Line    int
	Text    string
	Printed []string
}

// Reasons are why a block may be left to the reader.
func Reasons() map[string]string {
	return map[string]string{
		"kubernetes": "a cluster of Kubernetes takes minutes; the suites have such runs",
		"builds":     "it builds or downloads for minutes",
		"kind":       "it needs Docker",
		"staging":    "it needs a cluster that is somebody's",
		"cloud":      "it needs the real cloud, or a client that is not here",
		"yours":      "it names what only a reader has",
		"waits":      "it goes on until it is interrupted",
		"ci":         "it is a CI's",
	}
}

// Read finds and reads the README and all pages of docs.
func Read(root string) ([]Page, error) {
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no pages in %s (%w)", filepath.Join(root, "docs"), err)
	}
	var out []Page
	for _, p := range append([]string{filepath.Join(root, "README.md")}, paths...) {
		raw, err := os.ReadFile(p)
		if err != nil {
			return nil, fmt.Errorf("read a page: %w", err)
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return nil, fmt.Errorf("read a page: %w", err)
		}
		page, err := Parse(name, raw)
		if err != nil {
			return nil, err
		}
		out = append(out, page)
	}
	return out, nil
}

// Parse reads one page. A comment that means nothing here is an error: it would be a mark that nobody heeds.
func Parse(path string, raw []byte) (Page, error) {
	r := reader{page: Page{Path: path}, raw: raw}
	doc := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(text.NewReader(raw))
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		return ast.WalkContinue, r.node(n)
	})
	if err == nil && r.mark != "" {
		err = fmt.Errorf("%s: nothing comes after the comment %q", path, r.mark)
	}
	return r.page, err
}

type reader struct {
	page Page
	raw  []byte
	mark string // a comment for the block that comes next
}

func (r *reader) node(n ast.Node) error {
	switch n := n.(type) {
	case *ast.HTMLBlock:
		if mark := strings.TrimSpace(string(n.Lines().Value(r.raw))); mark != MadeOfTheCode && mark != MadeSoFar {
			r.mark = mark
		}
	case *ast.FencedCodeBlock:
		b := Block{Line: r.line(n.Lines()), Language: string(n.Language(r.raw)), Text: string(n.Lines().Value(r.raw))}
		if err := r.heed(&b); err != nil {
			return err
		}
		r.page.Blocks = append(r.page.Blocks, b)
	case *ast.CodeBlock:
		r.page.Blocks = append(r.page.Blocks, Block{Line: r.line(n.Lines()), Text: string(n.Lines().Value(r.raw))})
	case *ast.CodeSpan:
		if first, ok := n.FirstChild().(*ast.Text); ok {
			r.page.Spans = append(r.page.Spans, Text{Line: r.at(first.Segment.Start), Text: written(n, r.raw)})
		}
	case *ast.Link:
		r.page.Links = append(r.page.Links, Text{Text: string(n.Destination)})
	case *ast.Heading:
		r.page.Headings = append(r.page.Headings, string(n.Lines().Value(r.raw)))
	case *extast.Table:
		r.page.Tables = append(r.page.Tables, rows(n, r.raw))
	}
	return nil
}

// heed has a block say what the comment before it does.
func (r *reader) heed(b *Block) error {
	mark := r.mark
	r.mark = ""
	what, is := strings.CutPrefix(mark, "<!-- ")
	what, ends := strings.CutSuffix(what, " -->")
	key, value, _ := strings.Cut(what, ": ")
	switch {
	case mark == "":
		return nil
	case is && ends && key == "file" && value != "":
		b.File = value
		return nil
	case is && ends && key == "not run" && Reasons()[value] != "":
		b.NotRun = value
		return nil
	}
	return fmt.Errorf("%s:%d: %q is no mark of a block; known: file: NAME, and not run: with one of the reasons of docs.Reasons", r.page.Path, b.Line, mark)
}

func (r *reader) line(l *text.Segments) int {
	if l.Len() == 0 {
		return 0
	}
	return r.at(l.At(0).Start)
}

func (r *reader) at(offset int) int { return 1 + bytes.Count(r.raw[:offset], []byte("\n")) }

// written is the text below a node as it was typed, without the marks of code.
func written(n ast.Node, raw []byte) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			b.Write(t.Segment.Value(raw))
			if t.SoftLineBreak() {
				b.WriteString(" ")
			}
			continue
		}
		b.WriteString(written(c, raw))
	}
	return b.String()
}

func rows(t *extast.Table, raw []byte) [][]string {
	var out [][]string
	for row := t.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			cells = append(cells, written(cell, raw))
		}
		out = append(out, cells)
	}
	return out
}

// Commands are those of a block of console, in order. What is printed before any command is an error: it would be held to nothing.
func (b Block) Commands() ([]Command, error) {
	var out []Command
	line := b.Line - 1
	for l := range strings.Lines(b.Text) {
		line++
		l = strings.TrimRight(l, "\n")
		if cmd, ok := strings.CutPrefix(l, "$ "); ok {
			out = append(out, Command{Line: line, Text: cmd})
			continue
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("line %d: %q is no command, and none is before it", line, l)
		}
		last := &out[len(out)-1]
		if more, ok := strings.CutPrefix(l, "> "); ok && len(last.Printed) == 0 {
			last.Text += "\n" + more
			continue
		}
		last.Printed = append(last.Printed, l)
	}
	return out, nil
}

// Shows reports whether what a command has printed is what the page says that it prints; nothing is said: it may print anything. A line that is … alone
// is any lines or none.
func (c Command) Shows(printed string) bool {
	if len(c.Printed) == 0 {
		return true
	}
	var want strings.Builder
	for _, line := range c.Printed {
		if line == "…" {
			want.WriteString(`(.*\n)*`)
			continue
		}
		parts := strings.Split(strings.TrimRight(line, " "), "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		want.WriteString(strings.Join(parts, ".*") + `\s*\n`)
	}
	return regexp.MustCompile(`^` + want.String() + `\s*$`).MatchString(strings.TrimRight(printed, "\n") + "\n")
}
