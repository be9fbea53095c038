package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func sourceOf(text string) Source {
	return ReadSource([]byte(text), []byte(text), func(at int) int { return at })
}

// The pairs are public: the first is the service's own, of calculateTemplateHash (github.com/Azure/azure-rest-api-specs, Microsoft.Resources), the others are
// what Bicep wrote into what it compiled: of its samples (github.com/Azure/bicep, src/Bicep.Core.Samples/Files: Empty, ModulesWithScopes_LF) and of
// github.com/Azure/azure-quickstart-templates (storage-multi-blob-container, storage-account-create).
func TestHashesOfTemplates(t *testing.T) {
	const schema = `"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0",`
	const (
		tenant = `{"$schema":"https://schema.management.azure.com/schemas/2019-08-01/tenantDeploymentTemplate.json#","contentVersion":"1.0.0.0","metadata":{"_generator":{"name":"bicep","version":"dev","templateHash":"15729984543815100695"}},"resources":[],"outputs":{"myOutput":{"type":"string","value":"hello!"}}}`
		group  = `{"$schema":"https://schema.management.azure.com/schemas/2019-08-01/managementGroupDeploymentTemplate.json#","contentVersion":"1.0.0.0","metadata":{"_generator":{"name":"bicep","version":"dev","templateHash":"2139830058681583241"}},"resources":[]}`
		sub    = `{"$schema":"https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#","contentVersion":"1.0.0.0","metadata":{"_generator":{"name":"bicep","version":"dev","templateHash":"1395382333336833730"}},"resources":[]}`
		nested = `"properties":{"expressionEvaluationOptions":{"scope":"inner"},"mode":"Incremental","template":`
		module = `{"type":"Microsoft.Resources/deployments","apiVersion":"2025-04-01",`
	)
	for want, text := range map[string]string{
		"695440707931307747": `{"$schema":"http://schemas.management.azure.com/deploymentTemplate?api-version=2014-04-01-preview","contentVersion":"1.0.0.0","parameters":{"string":{"type":"string"}},
			"variables":{"string":"string","int":42,"bool":true,"array":[1,2,3,4],"object":{"object":{"vmSize":"Large","location":"West US"}}},"resources":[],"outputs":{"string":{"type":"string","value":"myvalue"}}}`,
		"4022825006521128805":  `{` + schema + `"functions":[],"resources":[],"metadata":{"_generator":{"name":"Bicep.Core","version":"0.2.417.9708","templateHash":"4022825006521128805"}}}`,
		"15729984543815100695": tenant,
		"2139830058681583241":  group,
		"15396932166486482455": `{"$schema":"https://schema.management.azure.com/schemas/2019-08-01/managementGroupDeploymentTemplate.json#","contentVersion":"1.0.0.0","metadata":{"_generator":{"name":"bicep","version":"dev"}},"resources":[` +
			module + `"name":"myTenantMod","scope":"/","location":"[deployment().location]",` + nested + tenant + `}},` +
			module + `"name":"myManagementGroupMod","scope":"[format('Microsoft.Management/managementGroups/{0}', 'myManagementGroup2')]","location":"[deployment().location]",` + nested + group + `}},` +
			module + `"name":"mySubscriptionMod","subscriptionId":"1ad827ac-2669-4c2f-9970-282b93c3c550","location":"[deployment().location]",` + nested + sub + `}}],
			"outputs":{"myOutput":{"type":"string","value":"[reference(tenantResourceId('Microsoft.Resources/deployments', 'myTenantMod'), '2025-04-01').outputs.myOutput.value]"}}}`,
		"3821238716752525102": `{` + schema + `"metadata":{"_generator":{"name":"bicep","version":"0.25.53.49325","templateHash":"3821238716752525102"}},
			"parameters":{"storageAccountName":{"type":"string","metadata":{"description":"Specifies the name of the Azure Storage account."}},
				"containerPrefix":{"type":"string","defaultValue":"logs","minLength":2,"metadata":{"description":"Specifies the prefix of the blob container names."}},
				"location":{"type":"string","defaultValue":"[resourceGroup().location]","metadata":{"description":"Specifies the location in which the Azure Storage resources should be deployed."}}},
			"resources":[{"type":"Microsoft.Storage/storageAccounts","apiVersion":"2023-01-01","name":"[parameters('storageAccountName')]","location":"[parameters('location')]","sku":{"name":"Standard_LRS"},"kind":"StorageV2","properties":{"accessTier":"Hot"}},
				{"type":"Microsoft.Storage/storageAccounts/blobServices","apiVersion":"2023-01-01","name":"[format('{0}/{1}', parameters('storageAccountName'), 'default')]","dependsOn":["[resourceId('Microsoft.Storage/storageAccounts', parameters('storageAccountName'))]"]},
				{"copy":{"name":"containers","count":"[length(range(0, 3))]"},"type":"Microsoft.Storage/storageAccounts/blobServices/containers","apiVersion":"2023-01-01",
					"name":"[format('{0}/{1}/{2}', parameters('storageAccountName'), 'default', format('{0}{1}', parameters('containerPrefix'), range(0, 3)[copyIndex()]))]",
					"dependsOn":["[resourceId('Microsoft.Storage/storageAccounts/blobServices', parameters('storageAccountName'), 'default')]"]}]}`,
		"13120038605368246703": `{` + schema + `"metadata":{"_generator":{"name":"bicep","version":"0.13.1.58284","templateHash":"13120038605368246703"}},
			"parameters":{"storageAccountType":{"type":"string","defaultValue":"Standard_LRS","allowedValues":["Premium_LRS","Premium_ZRS","Standard_GRS","Standard_GZRS","Standard_LRS","Standard_RAGRS","Standard_RAGZRS","Standard_ZRS"],"metadata":{"description":"Storage Account type"}},
				"location":{"type":"string","defaultValue":"[resourceGroup().location]","metadata":{"description":"The storage account location."}},
				"storageAccountName":{"type":"string","defaultValue":"[format('store{0}', uniqueString(resourceGroup().id))]","metadata":{"description":"The name of the storage account"}}},
			"resources":[{"type":"Microsoft.Storage/storageAccounts","apiVersion":"2022-09-01","name":"[parameters('storageAccountName')]","location":"[parameters('location')]","sku":{"name":"[parameters('storageAccountType')]"},"kind":"StorageV2","properties":{}}],
			"outputs":{"storageAccountName":{"type":"string","value":"[parameters('storageAccountName')]"},"storageAccountId":{"type":"string","value":"[resourceId('Microsoft.Storage/storageAccounts', parameters('storageAccountName'))]"}}}`,
	} {
		if got := sourceOf(text).Hash(); got != want {
			t.Errorf("%s instead of %s, of %s", got, want, text)
		}
	}
}

// A bracket's column is where it stands: "at line '24' and column '5'" of a template that indents by two (github.com/F5Networks/f5-azure-arm-templates#238).
func TestPlacesInTemplates(t *testing.T) {
	s := sourceOf("{\n  \"parameters\": {\r\n    \"p\": {}\n  },\n  \"resources\": [\n    {\n    }, {\"Resources\": [7]}\n  ]\n}")
	for _, x := range []struct {
		of   Source
		want Place
	}{
		{s, Place{1, 1, ""}},
		{s.At("parameters", "P"), Place{3, 10, "parameters.p"}},
		{s.At("resources", 0), Place{6, 5, "resources[0]"}},
		{s.At("resources", 1, "resources", 0), Place{7, 23, "resources[1].Resources[0]"}},
		{sourceOf(`{"é😀":{}}`).At("é😀"), Place{1, 8, "é😀"}},
		{s.At("resources", 2), Place{}},
		{s.At("nope", "p"), Place{}},
		{Source{}, Place{}},
	} {
		if got := x.of.Place(); got != x.want {
			t.Errorf("%+v instead of %+v", got, x.want)
		}
	}
}

// A template of 4 MB may be one object with hundreds of thousands of members.
func TestBigTemplatesAreReadAndHashedQuickly(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"variables":{"v":{`)
	for i := range 200_000 {
		fmt.Fprintf(&b, `"member%d":%d,`, i, i)
	}
	b.WriteString(`"last":0}},"resources":[]}`)
	begun := time.Now()
	s := sourceOf(b.String())
	if s.Hash() == "0" || s.At("variables", "V", "LAST").Place().Line != 1 {
		t.Error("it is not read")
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

// FuzzTemplate takes whatever there is for a template, from its text to its outputs.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		`{"$schema":"x","contentVersion":"1","parameters":{"p":{"type":"string","defaultValue":"[concat('a', parameters('q'))]"},"q":{"type":"int","defaultValue":1,"maxValue":2}},"variables":{"v":"[parameters('p')]","copy":[{"name":"l","count":2,"input":"[copyIndex('l')]"}]},"resources":[],"outputs":{"o":{"type":"string","value":"[variables('v')]","condition":true}}}`,
		`{"$schema":"x","contentVersion":"1","languageVersion":"2.0","definitions":{"t":{"type":"object","properties":{"a":{"$ref":"#/definitions/t","nullable":true}}}},"parameters":{"p":{"$ref":"#/definitions/t","defaultValue":{}}},"functions":[{"namespace":"n","members":{"f":{"parameters":[{"name":"x","type":"int"}],"output":{"type":"int","value":"[add(parameters('x'), 1)]"}}}}],"resources":{"r":{"type":"a/b","name":"x"}},"outputs":{"o":{"type":"array","copy":{"count":3,"input":"[n.f(copyIndex())]"}}}}`,
		`{"$schema":"x","contentVersion":"1","variables":{"a":"[variables('b')]","b":"[variables('a')]"},"resources":[7]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var doc map[string]any
		if json.Unmarshal([]byte(text), &doc) != nil || doc == nil {
			return
		}
		begun := time.Now()
		var mistake *Error
		check := func(err error) bool {
			if err != nil && !errors.As(err, &mistake) && !errors.Is(err, ErrNotReady) {
				t.Fatalf("%q: %v", text, err)
			}
			return err == nil
		}
		tpl, err := Parse(doc, sourceOf(text))
		s := scope()
		if check(err) && check(tpl.Bind(s, nil)) && check(tpl.CheckOutputs(s)) {
			_, err = tpl.Evaluated(s)
			check(err)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Fatalf("%q took %s", text, took)
		}
	})
}

func FuzzSource(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"c"}],"A":null}`, `[[]]`, `"x"`, "{", ``} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		s := sourceOf(text)
		_, _, _ = s.Hash(), s.At("a", 1, "b").Place(), s.Place()
	})
}
