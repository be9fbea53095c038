package experiment

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Mistake is something wrong in a scenario's file, at its place there.
type Mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// String is the mistake as compilers say it, so that editors lead to its place.
func (m Mistake) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Message)
}

// Lint reads an embedded scenario or a file and plans it, and lists what is wrong there; none: it can be run. The error is a UsageError: there is nothing to
// read.
func Lint(nameOrFile string) ([]Mistake, error) {
	name, raw, err := Source(nameOrFile)
	if err != nil {
		return nil, err
	}
	s, err := Parse(name, raw)
	if err == nil {
		_, err = s.Plan(1)
	}
	if err == nil {
		return nil, nil
	}
	return mistakes(name, raw, err), nil
}

// mistakes finds the places that an error's words are about.
func mistakes(name string, raw []byte, err error) []Mistake {
	var doc yaml.Node
	_ = yaml.Unmarshal(raw, &doc) // what is no YAML has no nodes: its errors have their lines
	var out []Mistake
	for _, said := range strings.Split(strings.TrimPrefix(err.Error(), name+": "), "\n") {
		at := spot{said: strings.TrimPrefix(strings.TrimSpace(said), "yaml: "), nodes: flat(&doc, nil)}
		if len(doc.Content) > 0 {
			at.root = doc.Content[0]
		}
		out = append(out, at.find(name))
	}
	return out
}

// spot is a message and the file that it is about.
type spot struct {
	said  string
	root  *yaml.Node
	nodes []*yaml.Node // all of the file, as it is read
}

func (p spot) find(file string) Mistake {
	m := Mistake{File: file, Line: 1, Column: 1}
	prefix, inner := p.path()
	from, message, lined := line(inner)
	if m.Message = prefix + message; m.Message == "" {
		m.Message = p.said
	}
	among := p.nodes
	switch {
	case lined:
		m.Line, among = from, nil
		for _, n := range p.nodes {
			if n.Line >= from {
				among = append(among, n)
			}
		}
		if len(among) > 0 && among[0].Line == from {
			m.Column = among[0].Column
		}
	default:
		if n := p.deepest(); n != nil {
			m.Line, m.Column, among = n.Line, n.Column, flat(n, nil)
		}
	}
	for _, w := range words(message, prefix == "") {
		for _, n := range among {
			if n.Kind == yaml.ScalarNode && n.Value == w {
				m.Line, m.Column = n.Line, n.Column
				return m
			}
		}
	}
	return m
}

// line takes the number of the line from the beginning of a message; of several the last, which is the narrowest.
func line(said string) (number int, rest string, ok bool) {
	for {
		found := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(said)
		if found == nil {
			return number, said, ok
		}
		number, _ = strconv.Atoi(found[1])
		said, ok = strings.TrimPrefix(said, found[0]), true
	}
}

// path takes the path of fields from the beginning of a message: spec.steps[0].
func (p spot) path() (prefix, rest string) {
	found := regexp.MustCompile(`^(?:spec|metadata)[\w.\[\]]*(?:: |\b)`).FindString(p.said)
	if !strings.HasSuffix(found, ": ") {
		return "", p.said
	}
	return found, strings.TrimPrefix(p.said, found)
}

// deepest is the node that the path of a message leads to, or as far as the file has it; nil: the message has none.
func (p spot) deepest() *yaml.Node {
	path := regexp.MustCompile(`^(?:spec|metadata)[\w.\[\]]*`).FindString(p.said)
	if path == "" || p.root == nil {
		return nil
	}
	at := p.root
	for _, step := range regexp.MustCompile(`\w+`).FindAllString(path, -1) {
		next := child(at, step)
		if next == nil {
			break
		}
		at = next
	}
	return at
}

// child is a field of a mapping, or an item of a list; nil: there is none.
func child(n *yaml.Node, name string) *yaml.Node {
	if i, err := strconv.Atoi(name); err == nil && n.Kind == yaml.SequenceNode && i < len(n.Content) {
		return n.Content[i]
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// words are what a message may be about, the likeliest first: what it says is unknown or not taken, what it quotes, and of a message that has no path
// whatever else it says.
func words(message string, whatever bool) []string {
	var out []string
	message, _, _ = strings.Cut(message, "; known")
	patterns := []string{`field (\S+) is unknown`, `takes no (\w+)`, `"([^"]+)"`, `(?:^|: )(\w+) is `}
	if whatever {
		patterns = append(patterns, `(\w+)`)
	}
	for _, pattern := range patterns {
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(message, -1) {
			out = append(out, found[1])
		}
	}
	return out
}

// flat lists a node and all that is in it, in the order of the file.
func flat(n *yaml.Node, out []*yaml.Node) []*yaml.Node {
	if n.Kind != yaml.DocumentNode && n.Kind != 0 {
		out = append(out, n)
	}
	for _, c := range n.Content {
		out = flat(c, out)
	}
	return out
}
