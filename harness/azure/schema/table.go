// Package schema holds what clients send to the documents that Azure's Go SDK has for it (fixtures/arm/models.txt, read from the SDK's source by
// hack/armtable): which properties there are, of which JSON type each is, what it may be, and which the service alone writes. It knows no resources.
package schema

import (
	"slices"
	"strings"
	"sync"
)

// Table is the models, by what they are sent for.
type Table struct {
	text string

	once   sync.Once
	lines  map[string]string // by what a line begins with: a model's name, or VERB type in lower case
	models sync.Map          // *Model by name: most are never asked for
}

// New makes one of a table's text, which is read when somebody asks first.
func New(text string) *Table { return &Table{text: text} }

// For is the model of what a verb writes of a type, PUT Microsoft.Compute/disks; nil: there is none.
func (t *Table) For(verb, typ string) *Model {
	if t == nil {
		return nil
	}
	t.once.Do(t.index)
	name, known := t.lines[strings.ToLower(verb+" "+alias(typ))]
	if !known {
		return nil
	}
	return t.model(name)
}

// alias is what the SDK calls a type that the twin calls otherwise.
func alias(typ string) string {
	if typ == "Microsoft.Resources/tags" { // of which there is one, default
		return typ + "/default"
	}
	return typ
}

func (t *Table) index() {
	t.lines = map[string]string{}
	for line := range strings.Lines(t.text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		end := strings.IndexAny(line, "=:")
		if end < 0 { // VERB type model
			end = strings.LastIndexByte(line, ' ')
			t.lines[strings.ToLower(line[:end])] = line[end+1:]
			continue
		}
		t.lines[line[:end]] = line[end:]
	}
}

// Model is what is known of a JSON object, or the values that a text may be.
type Model struct {
	Name   string // the SDK's: DiskProperties
	fields map[string]*field
	names  []string          // of the fields
	values map[string]string // in lower case -> as the service writes it; nil: it is no such text

	secrets func() []string
}

// field is one property.
type field struct {
	name     string
	readOnly bool
	shape    shape
}

// shape is a JSON type: so many lists and maps around something.
type shape struct {
	around string // "[" and "{", the outermost first
	basic  byte   // s, i, n, b, o; 0: a model
	model  func() *Model
}

func (t *Table) model(name string) *Model {
	if m, ok := t.models.Load(name); ok {
		return m.(*Model) //nolint:forcetypeassert // nothing else is stored
	}
	m, _ := t.models.LoadOrStore(name, t.parse(name))
	return m.(*Model) //nolint:forcetypeassert // as above
}

func (t *Table) parse(name string) *Model {
	space, own, _ := strings.Cut(name, ".")
	line := t.lines[name]
	m := &Model{Name: own}
	m.secrets = secretsOf(m)
	if strings.HasPrefix(line, ":") {
		m.values = map[string]string{}
		for _, v := range strings.Split(line[1:], "|") {
			m.values[strings.ToLower(v)] = v
		}
		return m
	}
	m.fields = map[string]*field{}
	for _, f := range strings.Split(strings.TrimPrefix(line, "="), ",") {
		key, kind, ok := strings.Cut(f, " ")
		if !ok {
			continue
		}
		kind, readOnly := strings.CutSuffix(kind, "!")
		one := &field{name: key, readOnly: readOnly}
		for strings.HasPrefix(kind, "[]") || strings.HasPrefix(kind, "{}") {
			one.shape.around, kind = one.shape.around+kind[:1], kind[2:]
		}
		if len(kind) == 1 {
			one.shape.basic = kind[0]
		} else {
			one.shape.model = sync.OnceValue(func() *Model { return t.model(space + "." + kind) })
		}
		m.fields[key], m.names = one, append(m.names, key)
	}
	return m
}

// find is the field of a name in any case, as the services' JSON library takes it.
func (m *Model) find(name string) *field {
	if f := m.fields[name]; f != nil {
		return f
	}
	for _, n := range m.names {
		if strings.EqualFold(n, name) {
			return m.fields[n]
		}
	}
	return nil
}

// Has reports whether there is a property of a name.
func (m *Model) Has(name string) bool { return m != nil && m.find(name) != nil }

// In is the model of what a property has, of a list or map what each has; nil: it has none.
func (m *Model) In(name string) *Model {
	if m == nil {
		return nil
	}
	f := m.find(name)
	if f == nil || f.shape.model == nil {
		return nil
	}
	return f.shape.model()
}

// ReadOnly are the properties that the service alone writes.
func (m *Model) ReadOnly() (out []string) {
	if m == nil {
		return nil
	}
	for _, n := range m.names {
		if m.fields[n].readOnly {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
