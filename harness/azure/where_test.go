package azure

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

// A mistake of a template is told with its line and column in what the client has sent: az sends the file as it is, behind a name without quotes.
func TestMistakesOfATemplateAreToldWhereTheyStand(t *testing.T) {
	const head = "{\n  \"$schema\": \"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#\", // lines count\n  'contentVersion': \"1.0.0.0\",\n"
	const ip = "{\"type\": \"Microsoft.Network/publicIPAddresses\", \"name\": \"a\""
	for name, x := range map[string]struct {
		tpl, want, path string
		line, column    int
	}{
		"parameter":   {"  \"parameters\": {\n    \"p\": {\"type\": \"string\"}\n  },\n  \"resources\": []", "template parameter 'p' at line '5' and column '10' is not provided", "properties.template.parameters.p", 5, 10},
		"version":     {"  \"resources\": [\n    " + ip + "}\n  ]", "resource 'a' at line '5' and column '5' is not valid", "properties.template.resources[0]", 5, 5},
		"twice":       {"  \"resources\": [\n    " + ip + ", \"apiVersion\": \"1\"},\n    " + ip + ", \"apiVersion\": \"1\"}\n  ]", "'Microsoft.Network/publicIPAddresses/a' at line '6' and column '5' is defined multiple times", "properties.template.resources[1]", 6, 5},
		"child":       {"  \"resources\": [\n    " + ip + ", \"apiVersion\": \"1\", \"resources\": [\n        {\"type\": \"x\", \"name\": \"b\"}]}\n  ]", "resource 'a/b' at line '6' and column '9' is not valid", "properties.template.resources[0].resources[0]", 6, 9},
		"expression":  {"  \"resources\": [\n\n    " + ip + ", \"apiVersion\": \"1\", \"location\": \"[substring('a', 5)]\"}\n  ]", "/publicIPAddresses/a' at line '6' and column '5'. 'Unable to evaluate", "properties.template.resources[0]", 6, 5},
		"copy":        {"  \"resources\": [\n   " + ip + ", \"apiVersion\": \"1\", \"copy\": {\"name\": \"c\", \"count\": 900}}\n  ]", "The template 'copy' definition at line '5' and column '4' has an invalid copy count", "properties.template.resources[0]", 5, 4},
		"member":      {"  \"resource\": []", "on object of type 'Template'. Path 'resource', line 4, position 15.", "properties.template.resource", 4, 15},
		"no resource": {"  \"resources\": [\n    7]", "Path 'resources[0]', line 5, position 5.", "properties.template.resources[0]", 5, 5},
		"everywhere":  {"  \"resources\": [" + ip + ", \"apiVersion\": \"1\", \"location\": \"x\", \"dependsOn\": [\"zz\"]}]", "The resource 'zz' is not defined in the template", "properties.template.resources[0]", 4, 17},
	} {
		c := grouped(t)
		w := c.do(http.MethodPut, "resourceGroups/g/providers/Microsoft.Resources/deployments/bad", `{"properties": {"mode": "Incremental", template:`+head+x.tpl+"\n}}}")
		body := decoded(t, w)
		info := fmt.Sprint(arm.At(body, "error", "additionalInfo"))
		want := fmt.Sprintf("[map[info:map[lineNumber:%d linePosition:%d path:%s] type:TemplateViolation]]", x.line, x.column, x.path)
		if w.Code != http.StatusBadRequest || !strings.Contains(arm.Text(body, "error", "message"), x.want) || info != want {
			t.Errorf("%s: %d %s\nwant %s\nand  %s", name, w.Code, w.Body, x.want, want)
		}
	}
}

// The hash that a deployment tells is the one that Bicep wrote into the template.
func TestADeploymentTellsTheTemplatesHash(t *testing.T) {
	c := grouped(t)
	d := c.deployed(`{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0","functions":[],"resources":[],"metadata":{"_generator":{"name":"Bicep.Core","version":"0.2.417.9708","templateHash":"4022825006521128805"}}}`)
	if got := arm.Text(d, "properties", "templateHash"); got != "4022825006521128805" {
		t.Errorf("%s", got)
	}
}
