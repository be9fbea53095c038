package azure

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

// TestWhatCannotBeReadIsRefused in the words of who cannot read it, by a call and by a deployment, and nothing is stored of it.
func TestWhatCannotBeReadIsRefused(t *testing.T) {
	c := grouped(t)
	const compute = "resourceGroups/g/providers/Microsoft.Compute/"
	for _, row := range []struct{ path, body, code, target, says string }{
		{compute + "disks/d", `{"location":{"name":"westeurope"}}`, "InvalidRequestContent", "", "Error reading string. Unexpected token: StartObject. Path 'location'."},
		{compute + "disks/d", `{"location":"westeurope","tags":["a=b"]}`, "InvalidRequestContent", "", "Path 'tags'."},
		{compute + "disks/d", `{"location":"westeurope","tags":{"dummy":{"abcd":"x"}}}`, "InvalidRequestContent", "", "'Error reading string. Unexpected token: StartObject. Path 'tags.dummy'.'"},
		{compute + "disks/d", `{"location":"westeurope","AccountType":"x"}`, "InvalidRequestContent", "", "Could not find member 'AccountType' on object of type"},
		{compute + "disks/d", `{"location":"westeurope","properties":"x"}`, "InvalidRequestContent", "", "Path 'properties'."},
		{compute + "disks/d", `{"location":"westeurope","properties":{"diskSizeGB":"big","creationData":{"createOption":"Empty"}}}`, "BadRequest", "properties.diskSizeGB", "Could not convert string to integer: big."},
		{compute + "disks/d", `{"location":"westeurope","properties":{"creationData":{"createOption":"Magic"}}}`, "BadRequest", "properties.creationData.createOption", `Error converting value "Magic"`},
		{compute + "virtualMachines/m", `{"location":"westeurope","properties":{"storageProfile":{"osDisk":{"managedDisks":{}}}}}`, "BadRequest", "vm.properties.storageProfile.osDisk.managedDisks", "Could not find member 'managedDisks' on object of type 'OSDisk'."},
		{networks + "virtualNetworks/n", `{"location":"westeurope","properties":{"subnets":{"name":"a"},"addressSpace":{"addressPrefixes":"10.0.0.0/8"}}}`, "InvalidRequestFormat", "", "Cannot parse the request."},
		{networks + "networkSecurityGroups/n", `{"location":"westeurope","properties":{"securityRules":[{"name":"a","properties":{"priority":"first","access":"Maybe"}}]}}`, "InvalidRequestFormat", "", "Cannot parse the request."},
		{"resourceGroups/g/providers/Microsoft.Storage/storageAccounts/abc", `{"location":"westeurope","properties":{"networkAcls":[]}}`, "InvalidRequestContent", "", "Path 'properties.networkAcls'."},
	} {
		w := c.do(http.MethodPut, row.path, row.body)
		got := decoded(t, w)
		if w.Code != http.StatusBadRequest || code(w) != row.code || arm.Text(got, "error", "target") != row.target || !strings.Contains(arm.Text(got, "error", "message"), row.says) {
			t.Errorf("%s %s: %d %s", row.path, row.body, w.Code, w.Body)
		}
		if row.code == "InvalidRequestFormat" && arm.Text(got, "error", "details", "1", "code") != "InvalidJson" {
			t.Errorf("%s", w.Body)
		}
		c.want(http.StatusNotFound, http.MethodGet, row.path, "")
		if typ := strings.Split(row.path, "/"); strings.Contains(row.body, `"location":"westeurope"`) {
			resource := fmt.Sprintf(`{"type":"%s/%s","apiVersion":"2024-03-01","name":%q,%s`, typ[3], typ[4], typ[5], row.body[1:])
			c.do(http.MethodPut, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", `{"properties":{"mode":"Incremental","template":{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0","resources":[`+resource+`]}}}`)
			c.pass()
			d := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", "")
			if !strings.Contains(string(arm.Marshal(d)), row.code) || arm.Text(d, "properties", "provisioningState") != "Failed" {
				t.Errorf("%s", arm.Marshal(d))
			}
			c.want(http.StatusNotFound, http.MethodGet, row.path, "")
		}
	}
}

// TestAReferenceMayBeAllOfWhatItNames, as `az network lb rule create` sends it: the service looks at the id.
// TestWhatIsNewerThanTheModelsIsTaken: a client of a newer api-version has properties and values that no model here has; types it has not.
func TestWhatIsNewerThanTheModelsIsTaken(t *testing.T) {
	c := newClient(t)
	c.group()
	for path, body := range map[string]string{
		"Microsoft.Compute/disks/d":           `{"location":"westeurope","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":%s,"brandNew":{"a":1},"networkAccessPolicy":"BrandNew"}}`,
		"Microsoft.Network/virtualNetworks/n": `{"location":"westeurope","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"flowTimeoutInMinutes":%s,"privateEndpointVNetPolicies":"BrandNew"}}`,
	} {
		for _, x := range []struct {
			version, number string
			status          int
		}{{"2024-07-01", "4", http.StatusBadRequest}, {"2099-01-01", `"four"`, http.StatusBadRequest}, {"2099-01-01", "4", 0}} {
			w := c.do(http.MethodPut, inG+path+"?api-version="+x.version, fmt.Sprintf(body, x.number))
			if refused := w.Code >= http.StatusBadRequest; refused != (x.status != 0) {
				t.Errorf("%s, %s of %s: %d %s", path, x.number, x.version, w.Code, w.Body)
			}
		}
		if now := c.do(http.MethodGet, inG+path, ""); !strings.Contains(now.Body.String(), "BrandNew") {
			t.Errorf("it is lost: %s", now.Body)
		}
	}
}

func TestAReferenceMayBeAllOfWhatItNames(t *testing.T) {
	c := grouped(t)
	at := networkID("loadBalancers/lb/")
	rule := `{"name":"r","properties":{"protocol":"Tcp","frontendPort":80,"backendPort":80,"backendAddressPool":{"id":"` + at + `backendAddressPools/p","name":"p","etag":"W/\"1\"","properties":{"provisioningState":"Succeeded"}}}}`
	if status, code, message := c.putNetwork("loadBalancers/lb", `"backendAddressPools":[{"name":"p"}],"loadBalancingRules":[`+rule+`]`); status >= http.StatusBadRequest {
		t.Fatal(status, code, message)
	}
	got := c.want(http.StatusOK, http.MethodGet, networks+"loadBalancers/lb", "")
	if pool := string(arm.Marshal(arm.At(got, "properties", "loadBalancingRules", "0", "properties", "backendAddressPool"))); pool != `{"id":"`+at+`backendAddressPools/p"}` {
		t.Errorf("the rule's pool is %s", pool)
	}
}

// TestADocumentIsStoredAsTheServiceWritesIt whatever a client's case, and without what the service alone writes.
func TestADocumentIsStoredAsTheServiceWritesIt(t *testing.T) {
	c := grouped(t)
	const disk = "resourceGroups/g/providers/Microsoft.Compute/disks/d"
	c.want(http.StatusAccepted, http.MethodPut, disk, `{"Location":"westeurope","Properties":{"DISKSIZEGB":"8","diskState":"Attached","timeCreated":"1999","uniqueId":"mine","creationdata":{"createoption":"empty"}},"managedBy":"me","tags":{"A":"b","n":1}}`)
	c.pass()
	got := c.want(http.StatusOK, http.MethodGet, disk, "")
	p, _ := got["properties"].(map[string]any)
	if p["diskSizeGB"] != 8.0 || arm.At(p, "creationData").(map[string]any)["createOption"] != "Empty" || p["diskState"] != "Unattached" || p["timeCreated"] == "1999" || p["uniqueId"] == "mine" || got["managedBy"] != nil || arm.Text(got, "tags", "n") != "1" { //nolint:forcetypeassert // it panics if not
		t.Errorf("%s", arm.Marshal(got))
	}
	// A PATCH in another case changes what there is; its tags are all there are then; null takes away; an older version knows properties that are gone.
	c.do(http.MethodPatch, disk, `{"TAGS":{"c":"d"},"properties":{"DiskSizeGB":16,"tier":"P4"}}`)
	c.pass()
	c.do(http.MethodPatch, disk, `{"properties":{"tier":null}}`)
	c.pass()
	got = c.want(http.StatusOK, http.MethodGet, disk, "")
	p, _ = got["properties"].(map[string]any)
	if p["diskSizeGB"] != 16.0 || p["DiskSizeGB"] != nil || p["tier"] != nil || len(got["tags"].(map[string]any)) != 1 || arm.Text(got, "tags", "c") != "d" { //nolint:forcetypeassert // as above
		t.Errorf("%s", arm.Marshal(got))
	}
	c.want(http.StatusAccepted, http.MethodPut, disk+"?api-version=2018-06-01", `{"location":"westeurope","properties":{"encryptionSettings":{},"creationData":{"createOption":"Empty"}}}`)
	c.pass()
	// A PUT of what was read is a PUT.
	c.machine("m")
	const vm = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m"
	before := c.want(http.StatusOK, http.MethodGet, vm, "")
	c.want(http.StatusOK, http.MethodPut, vm, string(arm.Marshal(c.want(http.StatusOK, http.MethodGet, vm+"?$expand=instanceView", ""))))
	c.pass()
	if after := c.want(http.StatusOK, http.MethodGet, vm, ""); string(arm.Marshal(after)) != string(arm.Marshal(before)) {
		t.Errorf("%s\n%s", arm.Marshal(before), arm.Marshal(after))
	}
}

// TestAPatchOfANetworkIsOfTags and of nothing else.
func TestAPatchOfANetworkIsOfTags(t *testing.T) {
	c := grouped(t)
	const net = networks + "virtualNetworks/n"
	c.want(http.StatusCreated, http.MethodPut, net, `{"location":"westeurope","tags":{"a":"b"},"properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/8"]}}}`)
	c.pass()
	w := c.do(http.MethodPatch, net, `{"tags":{"c":"d"},"properties":{"addressSpace":{"addressPrefixes":["11.0.0.0/8"]}}}`)
	if w.Code != http.StatusBadRequest || code(w) != "OnlyTagsSupportedForPatch" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	got := c.want(http.StatusOK, http.MethodPatch, net, `{"tags":{"c":"d"}}`)
	if arm.Text(got, "tags", "a") != "" || arm.Text(got, "tags", "c") != "d" {
		t.Errorf("%s", arm.Marshal(got))
	}
}

// TestNamesAndPlacesAreHeldToTheRules in the words of whose rules they are.
func TestNamesAndPlacesAreHeldToTheRules(t *testing.T) {
	c := grouped(t)
	const rg = "resourceGroups/g/providers/"
	long := strings.Repeat("a", 81)
	for _, row := range []struct{ path, body, code string }{
		{rg + "Microsoft.Network/virtualNetworks/-n", `{"location":"westeurope"}`, "InvalidResourceName"},
		{rg + "Microsoft.Network/virtualNetworks/n-", `{"location":"westeurope"}`, "InvalidResourceName"},
		{rg + "Microsoft.Network/virtualNetworks/n%20n", `{"location":"westeurope"}`, "InvalidResourceName"},
		{rg + "Microsoft.Network/publicIPAddresses/" + long, `{"location":"westeurope"}`, "InvalidResourceName"},
		{rg + "Microsoft.Network/loadBalancers/lb", `{"location":"westeurope","properties":{"probes":[{"name":"ends-","properties":{"protocol":"Tcp","port":1}}]}}`, "InvalidResourceName"},
		{rg + "Microsoft.Network/virtualNetworks/ok_", `{"location":"westeurope"}`, ""},
		{rg + "Microsoft.Network/virtualNetworks/ok_/subnets/-bad", `{"properties":{"addressPrefix":"10.0.0.0/24"}}`, "InvalidResourceName"},
		{rg + "Microsoft.Storage/storageAccounts/No_good", `{"location":"westeurope","sku":{"name":"Standard_LRS"},"kind":"StorageV2"}`, "AccountNameInvalid"},
		{rg + "Microsoft.Storage/storageAccounts/mywindows", `{"location":"westeurope","sku":{"name":"Standard_LRS"},"kind":"StorageV2"}`, "ReservedResourceName"},
		{rg + "Microsoft.Compute/virtualMachines/m", `{"location":"westeurope","properties":{"osProfile":{"computerName":"bad_name"}}}`, "InvalidParameter"},
		{rg + "Microsoft.Compute/virtualMachines/m", `{"location":"westeurope","properties":{"osProfile":{"computerName":"sixteen-letters-","windowsConfiguration":{}}}}`, "InvalidParameter"},
		{rg + "Microsoft.Compute/disks/d", `{"location":"atlantis","properties":{"creationData":{"createOption":"Empty"}}}`, "LocationNotAvailableForResourceType"},
		{"resourceGroups/lost", `{"location":"atlantis"}`, "LocationNotAvailableForResourceGroup"},
		{"resourceGroups/g", `{"location":"eastus"}`, "InvalidResourceGroupLocation"},
		{rg + "Microsoft.Compute/disks/d", `{"location":"West US 3","properties":{"creationData":{"createOption":"Empty"}}}`, ""},
		{rg + "Microsoft.Compute/disks/d", `{"location":"eastus","properties":{"creationData":{"createOption":"Empty"}}}`, "InvalidResourceLocation"},
	} {
		w := c.do(http.MethodPut, row.path, row.body)
		if code(w) != row.code || w.Code >= http.StatusBadRequest != (row.code != "") {
			t.Errorf("%s %s: %d %s", row.path, row.body, w.Code, w.Body)
		}
		c.pass()
	}
}

// TestWhatCannotBeChangedIsNot and stays where a PUT leaves it out.
func TestWhatCannotBeChangedIsNot(t *testing.T) {
	c := grouped(t)
	const rg = "resourceGroups/g/providers/"
	const vm = rg + "Microsoft.Compute/virtualMachines/m"
	machine := func(more, os, profile string) string {
		return `{"location":"westeurope"` + more + `,"properties":{"osProfile":{` + os + `},"storageProfile":{` + profile + `"osDisk":{"createOption":"FromImage","name":"os"}}}}`
	}
	const user, image = `"computerName":"m","adminUsername":"azureuser","customData":"YQ=="`, `"imageReference":{"publisher":"Canonical","offer":"o","sku":"s","version":"latest"},`
	c.want(http.StatusCreated, http.MethodPut, vm, machine(`,"zones":["1"]`, user, image))
	c.pass()
	for body, property := range map[string]string{
		machine(`,"zones":["2"]`, user, image):                                            "zones",
		machine("", strings.Replace(user, "azureuser", "root", 1), image):                 "osProfile.adminUsername",
		machine("", strings.Replace(user, `"m"`, `"n"`, 1), image):                        "osProfile.computerName",
		machine("", strings.Replace(user, "YQ==", "Yg==", 1), image):                      "osProfile.customData",
		machine("", user, strings.Replace(image, `"s"`, `"t"`, 1)):                        "imageReference",
		strings.Replace(machine("", user, image), "FromImage", "Attach", 1):               "osDisk.createOption",
		strings.Replace(machine("", user, image), `"name":"os"`, `"osType":"Windows"`, 1): "osDisk.osType",
	} {
		w := c.do(http.MethodPut, vm, body)
		if w.Code != http.StatusConflict || code(w) != "PropertyChangeNotAllowed" || arm.Text(decoded(t, w), "error", "target") != property {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	c.want(http.StatusOK, http.MethodPut, vm, machine("", `"computerName":"M"`, ""))
	c.pass()
	got := c.want(http.StatusOK, http.MethodGet, vm, "")
	if arm.Text(got, "properties", "osProfile", "adminUsername") != "azureuser" || arm.Text(got, "zones", "0") != "1" {
		t.Errorf("%s", arm.Marshal(got))
	}
	c.want(http.StatusOK, http.MethodPut, vm, `{"location":"westeurope","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","name":"os"}}}}`)
	c.pass()
	if got := c.want(http.StatusOK, http.MethodGet, vm, ""); arm.Text(got, "properties", "osProfile", "adminUsername") != "azureuser" {
		t.Errorf("%s", arm.Marshal(got))
	}
	c.want(http.StatusConflict, http.MethodPatch, vm, `{"properties":{"osProfile":{"adminUsername":"root"}}}`)
	// SKUs of balancers and addresses; an address of its own may become a standard one.
	for _, typ := range []string{"loadBalancers/lb", "publicIPAddresses/ip"} {
		path := rg + "Microsoft.Network/" + typ
		c.want(http.StatusCreated, http.MethodPut, path, `{"location":"westeurope","sku":{"name":"Standard"},"properties":{}}`)
		c.pass()
		if w := c.do(http.MethodPut, path, `{"location":"westeurope","sku":{"name":"Basic"},"properties":{}}`); code(w) != "SkuCannotBeChangedOnUpdate" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		c.want(http.StatusOK, http.MethodPut, path, `{"location":"westeurope","properties":{}}`)
		c.pass()
		if got := c.want(http.StatusOK, http.MethodGet, path, ""); arm.Text(got, "sku", "name") != "Standard" {
			t.Errorf("%s", arm.Marshal(got))
		}
	}
	// A network keeps the subnets that a PUT does not speak of, and loses them by an empty list.
	const net = networks + "virtualNetworks/kept"
	for body, want := range map[string]int{`"subnets":[{"name":"a","properties":{"addressPrefix":"10.0.0.0/24"}}],`: 1, ``: 1} {
		c.do(http.MethodPut, net, `{"location":"westeurope","properties":{"subnets":[{"name":"a","properties":{"addressPrefix":"10.0.0.0/24"}}],"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}}}`)
		c.pass()
		c.do(http.MethodPut, net, `{"location":"westeurope","properties":{`+body+`"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}}}`)
		c.pass()
		if got := c.want(http.StatusOK, http.MethodGet, net, ""); len(arm.Objects(got, "properties", "subnets")) != want {
			t.Errorf("%s: %s", body, arm.Marshal(got))
		}
	}
	c.do(http.MethodPut, net, `{"location":"westeurope","properties":{"subnets":[],"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}}}`)
	c.pass()
	if got := c.want(http.StatusOK, http.MethodGet, net, ""); len(arm.Objects(got, "properties", "subnets")) != 0 {
		t.Errorf("%s", arm.Marshal(got))
	}
}

// TestWhatIsNamedIsThere of the right type, in the same region.
func TestWhatIsNamedIsThere(t *testing.T) {
	c := grouped(t)
	group := "/subscriptions/" + testSubscription + "/resourceGroups/g/providers/Microsoft.Network/"
	c.want(http.StatusCreated, http.MethodPut, networks+"virtualNetworks/net", `{"location":"westeurope","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"a","properties":{"addressPrefix":"10.0.0.0/24"}}]}}`)
	c.want(http.StatusCreated, http.MethodPut, networks+"networkSecurityGroups/far", `{"location":"eastus","properties":{}}`)
	c.pass()
	nic := func(property, id string) string {
		return fmt.Sprintf(`{"location":"westeurope","properties":{%q:{"id":%q},"ipConfigurations":[{"name":"a","properties":{"subnet":{"id":"%svirtualNetworks/net/subnets/a"}}}]}}`, property, id, group)
	}
	for _, row := range []struct{ path, body, code, detail string }{
		{"networkInterfaces/n", nic("networkSecurityGroup", "nsg"), "InvalidRequestFormat", "InvalidJsonReferenceFormat"},
		{"networkInterfaces/n", nic("networkSecurityGroup", group+"virtualNetworks/net"), "InvalidRequestFormat", "InvalidJsonReferenceWrongType"},
		{"networkInterfaces/n", nic("networkSecurityGroup", group+"networkSecurityGroups/none"), "InvalidResourceReference", ""},
		{"networkInterfaces/n", nic("networkSecurityGroup", group+"networkSecurityGroups/far"), "InvalidResourceReference", ""},
		{"virtualNetworks/net/subnets/b", `{"properties":{"addressPrefix":"10.0.1.0/24","routeTable":{"id":"` + group + `routeTables/none"}}}`, "InvalidResourceReference", ""},
		{"loadBalancers/lb", `{"location":"westeurope","properties":{"frontendIPConfigurations":[{"name":"a","properties":{"publicIPAddress":{"id":"` + group + `publicIPAddresses/none"}}}]}}`, "InvalidResourceReference", ""},
	} {
		w := c.do(http.MethodPut, networks+row.path, row.body)
		if w.Code != http.StatusBadRequest || code(w) != row.code || arm.Text(decoded(t, w), "error", "details", "0", "code") != row.detail {
			t.Errorf("%s %s: %d %s", row.path, row.body, w.Code, w.Body)
		}
		c.pass()
	}
	c.want(http.StatusCreated, http.MethodPut, networks+"networkInterfaces/near", `{"location":"westeurope","properties":{"ipConfigurations":[{"name":"a","properties":{"subnet":{"id":"`+group+`virtualNetworks/net/subnets/a"}}}]}}`)
	c.pass()
	if w := c.do(http.MethodPut, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m", `{"location":"eastus","properties":{"networkProfile":{"networkInterfaces":[{"id":"`+group+`networkInterfaces/near"}]}}}`); code(w) != "InvalidResourceReference" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// The answer to a PUT of a child tells its etag in the header too.
	w := c.do(http.MethodPut, networks+"virtualNetworks/net/subnets/c", `{"properties":{"addressPrefix":"10.0.2.0/24"}}`)
	if tag := arm.Text(decoded(t, w), "etag"); tag == "" || header(w, "ETag") != tag {
		t.Errorf("%q %s", header(w, "ETag"), w.Body)
	}
}
