package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Source is a document, or a part of one, as it was written: its members in their order, and where they stand. What was decoded tells neither.
// The zero one is of nothing.
type Source struct {
	of   *original
	node *part
	path string
}

// original is the text that sources are parts of.
type original struct {
	text  []byte
	lines []int // where each begins
}

// part is a value of a document.
type part struct {
	at     int // the last byte of its first token, as the service's JSON library counts: of an object the bracket
	kind   byte
	names  []string
	values []*part
	byName map[string]int // where a member is: as it is written, and in lower case
	folded map[string]int
	plain  any // of what is neither an object nor a list
}

// Place is where something stands, as the service tells it: both counted from one.
type Place struct {
	Line, Column int
	Path         string // properties.template.resources[0]
}

// ReadSource reads a text that is JSON, and tells places in the one that this was made of: place gives the byte there for a byte here.
func ReadSource(text []byte, was []byte, place func(int) int) Source {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	of := &original{text: was, lines: []int{0}}
	for i, c := range was {
		if c == '\n' || c == '\r' && (i+1 == len(was) || was[i+1] != '\n') {
			of.lines = append(of.lines, i+1)
		}
	}
	n, err := readPart(d, place, 0)
	if err != nil {
		return Source{}
	}
	return Source{of: of, node: n}
}

// SourceOf is a decoded document as it would be written: on one line, its members by their names.
func SourceOf(doc any) Source {
	text := []byte(compact(doc))
	return ReadSource(text, text, func(at int) int { return at })
}

// maxDeep is how deep a document may be nested (encoding/json's own bound).
const maxDeep = 10_000

func readPart(d *json.Decoder, place func(int) int, depth int) (*part, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	n := &part{at: place(int(d.InputOffset()) - 1), plain: t}
	open, ok := t.(json.Delim)
	if !ok {
		return n, nil
	}
	if depth > maxDeep {
		return nil, errorf("The document is nested too deeply.")
	}
	n.kind, n.plain = byte(open), nil
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			n.names = append(n.names, fmt.Sprint(name))
		}
		v, err := readPart(d, place, depth+1)
		if err != nil {
			return nil, err
		}
		n.values = append(n.values, v)
	}
	if open == '{' {
		n.named()
	}
	_, err = d.Token()
	return n, err
}

// index finds a member whatever its case: the last of a name, as a decoder does.
func (n *part) index(name string) int {
	if i, exact := n.byName[name]; exact {
		return i
	}
	if i, known := n.folded[strings.ToLower(name)]; known {
		return i
	}
	return -1
}

// named notes where an object's members are: it may have hundreds of thousands.
func (n *part) named() {
	n.byName, n.folded = make(map[string]int, len(n.names)), make(map[string]int, len(n.names))
	for i, name := range n.names {
		n.byName[name], n.folded[strings.ToLower(name)] = i, i
	}
}

// At is a part of a source, by the names of members and the places in lists; the zero one: there is no such part.
func (s Source) At(steps ...any) Source {
	for _, step := range steps {
		i, path := -1, ""
		if s.node != nil {
			switch x := step.(type) {
			case string:
				if i = s.node.index(x); i >= 0 {
					path = strings.TrimPrefix(s.path+"."+s.node.names[i], ".")
				}
			case int:
				if s.node.kind == '[' && x < len(s.node.values) {
					i, path = x, fmt.Sprintf("%s[%d]", s.path, x)
				}
			}
		}
		if i < 0 {
			return Source{}
		}
		s.node, s.path = s.node.values[i], path
	}
	return s
}

// Exists says whether it is the source of something.
func (s Source) Exists() bool { return s.node != nil }

// Place is where it stands; the zero one where that is not known.
func (s Source) Place() Place {
	if s.node == nil {
		return Place{}
	}
	line := sort.SearchInts(s.of.lines, s.node.at+1)
	before := s.of.text[s.of.lines[line-1]:min(s.node.at, len(s.of.text))]
	return Place{Line: line, Column: len(units(string(before))) + 1, Path: s.path} // .NET counts so
}

func (p Place) String() string {
	return fmt.Sprintf("at line '%d' and column '%d'", p.Line, p.Column)
}

// sorted are an object's members: those of a class in its order, and then the others as they are written. The last of a name counts.
func (n *part) sorted(order []string) (members []int) {
	rank := make(map[string]int, len(order))
	for i, name := range order {
		rank[strings.ToLower(name)] = i - len(order)
	}
	for i, name := range n.names {
		if n.byName[name] == i {
			members = append(members, i)
		}
	}
	slices.SortStableFunc(members, func(a, b int) int { return rank[strings.ToLower(n.names[a])] - rank[strings.ToLower(n.names[b])] })
	return members
}
