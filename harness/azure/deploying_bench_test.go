package azure

import (
	"net/http"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

// BenchmarkDeployment deploys 800 resources and then 800 more, each a template of its own within one: a template has 800 at most. Each of the second reads one
// of the first.
func BenchmarkDeployment(b *testing.B) {
	const first = `{"$schema":"x","contentVersion":"1.0.0.0","resources":[
		{"copy":{"name":"l","count":800},"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"[concat('a', copyIndex())]","location":"westeurope"}]}`
	const second = `{"$schema":"x","contentVersion":"1.0.0.0","resources":[
		{"copy":{"name":"l","count":800},"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"[concat('b', copyIndex())]","location":"westeurope",
			"tags":{"a":"[reference(resourceId('Microsoft.Network/publicIPAddresses', concat('a', copyIndex())), '1').ipAddress]"}}]}`
	nested := func(name, more, tpl string) string {
		return `{"type":"Microsoft.Resources/deployments","apiVersion":"1","name":"` + name + `",` + more + `"properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},"template":` + tpl + `}}`
	}
	const d = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	for b.Loop() {
		c := newClientOf(b, Options{})
		c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
		c.want(http.StatusCreated, http.MethodPut, d, `{"properties":{"mode":"Incremental","template":{"$schema":"x","contentVersion":"1.0.0.0","resources":[`+nested("first", "", first)+`,`+nested("second", `"dependsOn":["first"],`, second)+`]}}}`)
		for range 30 {
			c.pass()
		}
		if got := c.want(http.StatusOK, http.MethodGet, d, ""); arm.Text(got, "properties", "provisioningState") != arm.Succeeded {
			b.Fatalf("%s", arm.Marshal(got))
		}
	}
}
