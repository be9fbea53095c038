// Package template evaluates the expression language of Azure Resource Manager's deployment templates: what stands between
// brackets in a string, "[concat(parameters('name'), '-nic')]". It knows nothing of resources.
// Source: learn.microsoft.com "ARM template functions" and "Syntax and expressions in ARM templates".
package template

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Error is a mistake of a template, in the words the service uses.
type Error struct {
	Message string
	Parse   bool  // the document is none of a template: nothing of it was looked at
	At      Place // where it stands, if that is known
}

func (e *Error) Error() string { return e.Message }

func errorf(format string, args ...any) error { return &Error{Message: fmt.Sprintf(format, args...)} }

// node is an expression taken apart.
type node interface{}

type (
	literal struct{ value any }
	call    struct {
		name string
		args []node
	}
	member struct {
		of   node
		name string
	}
	index struct{ of, at node }
)

// maxDepth bounds how deep expressions may be nested: the service has a limit of its length. The documentation's is 24,576 characters, of which AKS Engine's
// own templates have more; the service told 81,920 (github.com/microsoft/azure-pipelines-tasks#15093).
const (
	maxDepth  = 200
	maxLength = 81_920
)

// IsExpression reports whether a string is one: it begins with [ and ends with ], and [[ is an escaped bracket.
func IsExpression(s string) bool {
	return len(s) >= 2 && s[0] == '[' && s[len(s)-1] == ']' && !strings.HasPrefix(s, "[[")
}

// parse reads an expression with its brackets.
func parse(s string) (node, error) {
	if len(s) > maxLength {
		return nil, errorf("The language expression length limit exceeded. Limit: '%d' and actual: '%d'.", maxLength, len(s))
	}
	p := &parser{text: s[1 : len(s)-1], whole: s}
	n, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, p.unexpected("end of the expression")
	}
	return n, nil
}

type parser struct {
	text, whole string
	at          int
}

func (p *parser) unexpected(wanted string) error {
	got := "end of the expression"
	if p.at < len(p.text) {
		got = "'" + p.text[p.at:p.at+1] + "'"
	}
	return errorf("The language expression '%s' is not valid: %s is expected at position '%d', and there is %s. Please see https://aka.ms/arm-syntax-expressions for usage details.", p.whole, wanted, p.at+1, got)
}

func (p *parser) space() {
	for p.at < len(p.text) && unicode.IsSpace(rune(p.text[p.at])) {
		p.at++
	}
}

func (p *parser) take(c byte) bool {
	if p.space(); p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) expression(depth int) (node, error) {
	if depth > maxDepth {
		return nil, errorf("The language expression '%s' is nested too deeply. Please see https://aka.ms/arm-syntax-expressions for usage details.", p.whole[:min(100, len(p.whole))])
	}
	n, err := p.primary(depth)
	if err != nil {
		return nil, err
	}
	for {
		switch {
		case p.take('.'):
			name := p.word()
			if name == "" {
				return nil, p.unexpected("the name of a property")
			}
			n = member{n, name}
		case p.take('['):
			at, err := p.expression(depth + 1)
			if err != nil {
				return nil, err
			}
			if !p.take(']') {
				return nil, p.unexpected("']'")
			}
			n = index{n, at}
		default:
			return n, nil
		}
	}
}

func (p *parser) primary(depth int) (node, error) {
	p.space()
	switch {
	case p.at >= len(p.text):
		return nil, p.unexpected("a value")
	case p.text[p.at] == '\'':
		return p.quoted()
	case p.text[p.at] == '-' || p.text[p.at] >= '0' && p.text[p.at] <= '9':
		return p.number()
	}
	name := p.word()
	if name == "" {
		return nil, p.unexpected("a function")
	}
	for p.take('.') { // a function of a namespace
		more := p.word()
		if more == "" {
			return nil, p.unexpected("a function")
		}
		name += "." + more
	}
	if !p.take('(') {
		return nil, p.unexpected("'('")
	}
	c := call{name: name}
	if p.take(')') {
		return c, nil
	}
	for {
		arg, err := p.expression(depth + 1)
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, arg)
		switch {
		case p.take(','):
		case p.take(')'):
			return c, nil
		default:
			return nil, p.unexpected("',' or ')'")
		}
	}
}

func (p *parser) word() string {
	p.space()
	begun := p.at
	for p.at < len(p.text) && (p.text[p.at] == '_' || p.text[p.at] == '$' || p.text[p.at] >= '0' && p.text[p.at] <= '9' || p.text[p.at]|0x20 >= 'a' && p.text[p.at]|0x20 <= 'z') {
		p.at++
	}
	return p.text[begun:p.at]
}

// quoted reads a string: ” is one apostrophe.
func (p *parser) quoted() (node, error) {
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		if p.text[p.at] != '\'' {
			b.WriteByte(p.text[p.at])
			continue
		}
		if p.at+1 < len(p.text) && p.text[p.at+1] == '\'' {
			b.WriteByte('\'')
			p.at++
			continue
		}
		p.at++
		return literal{b.String()}, nil
	}
	return nil, p.unexpected("the end of a string")
}

func (p *parser) number() (node, error) {
	begun := p.at
	for p.at++; p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9'; {
		p.at++
	}
	n, err := strconv.ParseInt(p.text[begun:p.at], 10, 64)
	if err != nil {
		p.at = begun
		return nil, p.unexpected("a whole number")
	}
	return literal{n}, nil
}
