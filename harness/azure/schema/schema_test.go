package schema_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/azure/schema"
)

func read(t *testing.T, verb, typ, body string) (map[string]any, []schema.Problem) {
	t.Helper()
	m := schema.New(fixtures.ARMModels).For(verb, typ)
	if m == nil {
		t.Fatalf("no model of %s %s", verb, typ)
	}
	var in map[string]any
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		t.Fatal(err)
	}
	return m.Read(in, verb == "PATCH")
}

func TestADocumentIsReadAsTheServiceDoes(t *testing.T) {
	for body, want := range map[string]string{
		// names and values of a set in their own case, whatever the client's; texts for numbers and the other way round; nothing for null
		`{"Location":"a","PROPERTIES":{"hardwareprofile":{"VMSIZE":"Standard_New"},"storageProfile":{"osDisk":{"createOption":"fromimage","diskSizeGB":"30","caching":null},"dataDisks":[{"LUN":0,"createOption":"attach"}]}}}`: `{"location":"a","properties":{"hardwareProfile":{"vmSize":"Standard_New"},"storageProfile":{"osDisk":{"createOption":"FromImage","diskSizeGB":30},"dataDisks":[{"lun":0,"createOption":"Attach"}]}}}`,
		`{"tags":{"a":1,"B":true},"properties":{"osProfile":{"allowExtensionOperations":"True","computerName":7}}}`:                                                                                                             `{"tags":{"a":"1","B":"true"},"properties":{"osProfile":{"allowExtensionOperations":true,"computerName":"7"}}}`,
		// nothing of what the service alone writes, at any depth
		`{"id":"x","name":"x","type":"x","etag":"x","properties":{"provisioningState":"Failed","vmId":"x","timeCreated":"x","instanceView":{},"storageProfile":{"imageReference":{"exactVersion":"1","sku":"a"}}}}`: `{"properties":{"storageProfile":{"imageReference":{"sku":"a"}}}}`,
	} {
		got, problems := read(t, "PUT", "Microsoft.Compute/virtualMachines", body)
		var wanted map[string]any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, wanted) || len(problems) > 0 {
			t.Errorf("%s\n is %v\n and not %v: %v", body, got, wanted, problems)
		}
	}
}

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	for body, want := range map[string]string{
		`{"properties":{"diskSizeGB":"big"}}`:                      `Could not convert string to integer: big. Path 'properties.diskSizeGB'.`,
		`{"properties":{"diskSizeGB":1.5}}`:                        `Input string '1.5' is not a valid integer. Path 'properties.diskSizeGB'.`,
		`{"properties":{"diskSizeGB":{}}}`:                         `Error reading integer. Unexpected token: StartObject. Path 'properties.diskSizeGB'.`,
		`{"properties":{"burstingEnabled":"perhaps"}}`:             `Could not convert string to boolean: perhaps. Path 'properties.burstingEnabled'.`,
		`{"properties":{"tier":["P1"]}}`:                           `Error reading string. Unexpected token: StartArray. Path 'properties.tier'.`,
		`{"properties":"x"}`:                                       `Error converting value "x" to type 'DiskProperties'. Path 'properties'.`,
		`{"properties":[]}`:                                        `Cannot deserialize the current JSON array (e.g. [1,2,3]) into type 'DiskProperties' because the type requires a JSON object (e.g. {"name":"value"}) to deserialize correctly. Path 'properties'.`,
		`{"zones":"1"}`:                                            `Error converting value "1" to type 'System.String[]'. Path 'zones'.`,
		`{"zones":{}}`:                                             `Cannot deserialize the current JSON object (e.g. {"name":"value"}) into type 'System.String[]' because the type requires a JSON array (e.g. [1,2,3]) to deserialize correctly. Path 'zones'.`,
		`{"tags":{"a":{"b":"c"}}}`:                                 `Error reading string. Unexpected token: StartObject. Path 'tags.a'.`,
		`{"properties":{"diskSizeGB":""}}`:                         ``,
		`{"properties":{"creationData":{"createOption":1}}}`:       ``,
		`{"properties":{"creationData":{"createOption":"Magic"}}}`: `Error converting value "Magic" to type 'DiskCreateOption'. Path 'properties.creationData.createOption'.`,
		`{"properties":{"creationData":{"color":"red"}}}`:          `Could not find member 'color' on object of type 'CreationData'. Path 'properties.creationData.color'.`,
		`{"properties":{"encryptionSettingsCollection":{"enabled":true,"encryptionSettings":[{},{"x":1}]}}}`: `Could not find member 'x' on object of type 'EncryptionSettingsElement'. Path 'properties.encryptionSettingsCollection.encryptionSettings[1].x'.`,
	} {
		_, problems := read(t, "PUT", "Microsoft.Compute/disks", body)
		got := ""
		if len(problems) > 0 {
			got = problems[0].Message
		}
		if got != want {
			t.Errorf("%s\n is %s\n and not %s", body, got, want)
		}
	}
}

func TestAPatchTakesAway(t *testing.T) {
	got, problems := read(t, "PATCH", "Microsoft.Compute/virtualMachines", `{"Tags":null,"properties":{"osProfile":{"computerName":null}}}`)
	want := map[string]any{"tags": nil, "properties": map[string]any{"osProfile": map[string]any{"computerName": nil}}}
	if !reflect.DeepEqual(got, want) || len(problems) > 0 {
		t.Errorf("%v, %v", got, problems)
	}
}

// FuzzRead: nothing that JSON can be makes it panic, and what was read once is read as it is.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"properties":{"storageProfile":{"dataDisks":[null,{"lun":"1"},7]}}}`, `{"Tags":{"a":null},"zones":[1]}`, `{"properties":{"osProfile":{"linuxConfiguration":{"ssh":{"publicKeys":[{"path":1e300}]}}}}}`} {
		f.Add(s)
	}
	m := schema.New(fixtures.ARMModels).For("PUT", "Microsoft.Compute/virtualMachines")
	f.Fuzz(func(t *testing.T, s string) {
		var in map[string]any
		if json.Unmarshal([]byte(s), &in) != nil {
			return
		}
		once, problems := m.Read(in, false)
		if len(problems) > 0 {
			return
		}
		twice, problems := m.Read(once, false)
		if len(problems) > 0 || !reflect.DeepEqual(once, twice) {
			t.Fatalf("%s: %v, then %v: %v", s, once, twice, problems)
		}
	})
}

func TestEveryModelIsThere(t *testing.T) {
	table := schema.New(fixtures.ARMModels)
	n := 0
	for line := range strings.Lines(fixtures.ARMModels) {
		f := strings.Fields(line)
		if len(f) != 3 || strings.HasPrefix(line, "#") || strings.ContainsAny(f[0], "=:") {
			continue
		}
		n++
		if m := table.For(f[0], f[1]); m == nil || !strings.HasSuffix(f[2], "."+m.Name) {
			t.Errorf("%s is %v", line, m)
		}
	}
	if n < 300 {
		t.Errorf("only %d bodies", n)
	}
}

// BenchmarkRead is of a machine's document.
func BenchmarkRead(b *testing.B) {
	m := schema.New(fixtures.ARMModels).For("PUT", "Microsoft.Compute/virtualMachines")
	var body map[string]any
	if err := json.Unmarshal([]byte(`{"location":"westeurope","tags":{"a":"b"},"properties":{"hardwareProfile":{"vmSize":"Standard_D2s_v3"},"osProfile":{"computerName":"m","adminUsername":"a"},"storageProfile":{"imageReference":{"publisher":"c","offer":"o","sku":"s","version":"latest"},"osDisk":{"createOption":"FromImage","name":"os"},"dataDisks":[{"lun":0,"createOption":"Empty","diskSizeGB":8}]},"networkProfile":{"networkInterfaces":[{"id":"x","properties":{"primary":true}}]}}}`), &body); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := m.Read(body, false); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
