package experiment

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/scenarios"
)

const module = "drydock.dev/drydock"

// TestSchemaIsOfTheTypes: what editors go by is made of the types that scenarios are decoded into, of the lists of faults and checks, and of their words.
func TestSchemaIsOfTheTypes(t *testing.T) {
	t.Chdir("../..") // comments are found by the paths of their packages
	want := schemaText(t)
	if *update {
		if err := os.WriteFile("scenarios/schema.json", want, 0o600); err != nil {
			t.Fatal(err)
		}
		return // what is embedded here is the old one
	}
	if !bytes.Equal(scenarios.Schema(), want) {
		t.Error("scenarios/schema.json is not what the types say: go test ./harness/experiment -run TestSchemaIsOfTheTypes -update")
	}
}

// TestSchemaAgrees: what is embedded fits the schema, and what is refused when it is decoded does not.
func TestSchemaAgrees(t *testing.T) {
	fits := schemaChecker(t)
	for _, name := range scenarios.Names() {
		raw, err := scenarios.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := fits(raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := fits([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new string }{
		"an unknown field":         {"  always:", "  allways:"},
		"an unknown cluster field": {"controlPlanes: 3", "controlPlanes: 3, size: 4"},
		"an unknown fault":         {"etcdMemberCrash", "meteor"},
		"what a fault takes not":   {"for: 5s", "for: 5s, apart: 1s"},
		"no duration":              {"for: 5s", "for: 5"},
		"an unknown check":         {"[etcdQuorum]", "[etcdQuorom]"},
		"a check of another place": {"[etcdQuorum]", "[nodesReady]"},
		"what a check takes not":   {"[etcdQuorum]", "[{etcdQuorum: {members: 3}}]"},
		"two faults in one":        {"5s}}", "5s}, machineFreeze: {}}"},
		"no number":                {"controlPlanes: 3", "controlPlanes: three"},
		"another kind":             {"kind: Scenario", "kind: Pod"},
		"no name":                  {"{name: x}", "{}"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if text == good {
			t.Fatalf("%s: %q is not in the scenario", name, c.old)
		}
		if fits([]byte(text)) == nil {
			t.Errorf("%s fits the schema", name)
		}
		if _, err := Parse("x.yaml", []byte(text)); err == nil {
			t.Errorf("%s is read all the same", name)
		}
	}
}

func schemaChecker(t *testing.T) func(raw []byte) error {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(scenarios.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(raw []byte) error {
		var v any
		if err := yaml.Unmarshal(raw, &v); err != nil {
			return err
		}
		return s.Validate(v)
	}
}

// schemaMaker reflects the types; what is decoded by hand is made by hand.
type schemaMaker struct{ r *jsonschema.Reflector }

func schemaText(t *testing.T) []byte {
	t.Helper()
	m := schemaMaker{&jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, Anonymous: true, Namer: schemaName, Mapper: mapped}}
	for _, pkg := range []string{"experiment", "fault", "health", "load", "upgrade", "remedy", "subject", "azure"} {
		if err := m.r.AddGoComments(module, "harness/"+pkg); err != nil {
			t.Fatal(err)
		}
	}
	s := m.r.Reflect(&Scenario{})
	s.Version, s.ID, s.Title = "http://json-schema.org/draft-07/schema#", "urn:drydock:v1alpha1:scenario", "A scenario of Drydock"
	m.byHand(s.Definitions)
	raw, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(raw, '\n')
}

// schemaName tells types of one name in several packages apart.
func schemaName(t reflect.Type) string {
	pkg, name, _ := strings.Cut(t.String(), ".")
	if pkg == "experiment" {
		return name
	}
	return pkg + "." + name
}

func ref(name string) *jsonschema.Schema { return &jsonschema.Schema{Ref: "#/$defs/" + name} }

// mapped are the types that are written as texts, or decoded by hand.
func mapped(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^[-+]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$`}
	case reflect.TypeFor[cluster.Size](), reflect.TypeFor[fault.Share](), reflect.TypeFor[fault.Rate]():
		return &jsonschema.Schema{Type: "string"}
	case reflect.TypeFor[cluster.Way]():
		return &jsonschema.Schema{Enum: []any{cluster.BothWays, cluster.Outbound, cluster.Inbound}}
	case reflect.TypeFor[Fault]():
		return ref("Fault")
	case reflect.TypeFor[Placed]():
		return ref("Placed")
	case reflect.TypeFor[Check]():
		return ref("during")
	}
	return nil
}

func texts[T ~string](known ...T) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, k := range known {
		s.Enum = append(s.Enum, k)
	}
	return s
}

func object() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema}
}

// byHand adds what the types do not tell: faults and checks by their lists, and what texts may be.
func (m schemaMaker) byHand(defs jsonschema.Definitions) {
	one := uint64(1)
	faults := m.faults()
	defs["Fault"] = object()
	defs["Fault"].Description, defs["Fault"].MinProperties, defs["Fault"].MaxProperties = "One fault, with its target and how long it holds.", &one, &one
	placed := object()
	placed.Description = "A fault at a named step of an upgrade or a runbook; without one, one of several at the same time."
	for f := range reflect.TypeFor[Placed]().Fields() {
		if f.IsExported() && f.Type != reflect.TypeFor[Fault]() {
			placed.Properties.Set(strings.ToLower(f.Name), m.field(reflect.TypeFor[Placed](), f))
		}
	}
	for _, k := range fault.List() {
		defs["fault."+k.Name] = faults[k.Name]
		defs["Fault"].Properties.Set(k.Name, ref("fault."+k.Name))
		placed.Properties.Set(k.Name, ref("fault."+k.Name))
	}
	defs["Placed"] = placed
	for _, when := range []string{"always", "during", "finally"} {
		defs[when] = m.checks(when)
	}
	expects := texts(ExpectQuorumLost, ExpectWritesRefused, ExpectRefused, ExpectFailed)
	set := func(of, field string, s *jsonschema.Schema) {
		old, _ := defs[of].Properties.Get(field)
		s.Description = old.Description
		defs[of].Properties.Set(field, s)
	}
	set("Step", "expect", expects)
	set("Placed", "expect", texts(ExpectQuorumLost, ExpectWritesRefused))
	set("Spec", "always", &jsonschema.Schema{Type: "array", Items: ref("always")})
	set("Spec", "finally", &jsonschema.Schema{Type: "array", Items: ref("finally")})
	set("Cluster", "timing", texts(cluster.TimingFast, cluster.TimingProduction))
	set("Cluster", "etcd", texts(cluster.EtcdStacked, cluster.EtcdExternal, cluster.EtcdOnly))
	set("Storm", "faults", &jsonschema.Schema{Type: "array", Items: texts(slices.Sorted(maps.Keys(faults))...)})
	set("Scenario", "apiVersion", &jsonschema.Schema{Const: "drydock.dev/v1alpha1"})
	set("Scenario", "kind", &jsonschema.Schema{Const: "Scenario"})
	defs["Scenario"].Required, defs["Metadata"].Required = []string{"apiVersion", "kind", "metadata", "spec"}, []string{"name"}
}

// field is one field of a struct, with the comment on it.
func (m schemaMaker) field(of reflect.Type, f reflect.StructField) *jsonschema.Schema {
	inner := *m.r
	inner.DoNotReference = true
	s := inner.ReflectFromType(f.Type)
	if f.Type.Kind() == reflect.Pointer { // it is among the definitions already
		s = ref(schemaName(f.Type.Elem()))
	}
	s.Version, s.Description = "", m.r.CommentMap[of.PkgPath()+"."+of.Name()+"."+f.Name]
	return s
}

// faults are the bodies of all kinds.
func (m schemaMaker) faults() map[string]*jsonschema.Schema {
	params := map[string]*jsonschema.Schema{}
	for _, of := range []reflect.Type{reflect.TypeFor[fault.Params](), reflect.TypeFor[fault.ARM]()} {
		for f := range of.Fields() {
			params[f.Tag.Get("yaml")] = m.field(of, f)
		}
	}
	var roles []string
	for _, r := range fault.Roles() {
		if r.Of == "" {
			roles = append(roles, r.Name)
		}
	}
	out := map[string]*jsonschema.Schema{}
	for _, k := range fault.List() {
		body := object()
		body.Description = k.About
		body.Properties.Set("target", &jsonschema.Schema{Description: "A machine's name, or a role.", AnyOf: []*jsonschema.Schema{texts(roles...), {Type: "string"}}})
		body.Properties.Set("for", mapped(reflect.TypeFor[time.Duration]()))
		for _, name := range k.Takes {
			body.Properties.Set(name, params[name])
		}
		out[k.Name] = body
	}
	return out
}

// checks are those that can be made at a place: by name, or by name with what each takes.
func (m schemaMaker) checks(when string) *jsonschema.Schema {
	one := uint64(1)
	var names []string
	with := object()
	with.MinProperties, with.MaxProperties = &one, &one
	of := reflect.TypeFor[health.Params]()
	for _, k := range AllChecks() {
		if k.When != when {
			continue
		}
		names = append(names, k.Name)
		body := object()
		body.Description = k.About
		for f := range of.Fields() {
			if takes(k.Name, f) {
				body.Properties.Set(f.Tag.Get("yaml"), m.field(of, f))
			}
		}
		with.Properties.Set(k.Name, body)
	}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{texts(names...), with}}
}

// takes reports whether the check has a use for the parameter: whether it is refused is asked of who refuses.
func takes(check string, f reflect.StructField) bool {
	var p health.Params
	v := reflect.ValueOf(&p).Elem().FieldByIndex(f.Index)
	switch v.Kind() {
	case reflect.Float64:
		v.SetFloat(2)
	case reflect.String:
		v.SetString("control-plane")
		if f.Name == "Version" {
			v.SetString("v1.36")
		}
	default:
		v.SetInt(1)
	}
	return p.Fits(check) == nil
}
