package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"reflect"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// unchangeable is a property that cannot be changed after its resource was made: where it is, and what the service calls it. One that a PUT leaves out stays.
type unchangeable struct{ path, called string }

// ofMachine are a virtual machine's, each from a report: adminUsername, customData (a great many), zones (hashicorp/terraform-provider-azurerm#3277),
// osDisk.osType (MicrosoftDocs/azure-docs#20344), osDisk.createOption (Azure/azure-powershell#7621), availabilitySet.id (#1820), imageReference
// (Azure/azure-libraries-for-net#431), linuxConfiguration.ssh.publicKeys (terraform-provider-azurerm, SSHKeysSchema). That of the machine's own name is by analogy.
func ofMachine() []unchangeable {
	return []unchangeable{
		{"zones", "zones"},
		{"properties.availabilitySet.id", "availabilitySet.id"},
		{"properties.osProfile.computerName", "osProfile.computerName"},
		{"properties.osProfile.adminUsername", "osProfile.adminUsername"},
		{"properties.osProfile.linuxConfiguration.ssh.publicKeys", "linuxConfiguration.ssh.publicKeys"},
		{"properties.storageProfile.imageReference.publisher", "imageReference"},
		{"properties.storageProfile.imageReference.offer", "imageReference"},
		{"properties.storageProfile.imageReference.sku", "imageReference"},
		{"properties.storageProfile.imageReference.version", "imageReference"},
		{"properties.storageProfile.imageReference.id", "imageReference"},
		{"properties.storageProfile.osDisk.osType", "osDisk.osType"},
		{"properties.storageProfile.osDisk.createOption", "osDisk.createOption"},
	}
}

// ofScaleSet are those that a scale set has (learn.microsoft.com "Modify a Virtual Machine Scale Set", create-time properties).
func ofScaleSet() []unchangeable {
	const storage = "properties.virtualMachineProfile.storageProfile."
	return []unchangeable{
		{storage + "imageReference.publisher", "imageReference.publisher"},
		{storage + "imageReference.offer", "imageReference.offer"},
		{storage + "osDisk.managedDisk.storageAccountType", "osDisk.managedDisk.storageAccountType"},
	}
}

// unchanged refuses a document that changes what cannot be changed, and keeps in it what it leaves out. What there was not may be added, but for a machine's zones
// and its availability set.
func unchanged(all []unchangeable, body, old map[string]any) *arm.Error {
	if old == nil {
		return nil
	}
	for _, f := range all {
		path := strings.Split(f.path, ".")
		was, now := arm.At(old, path...), arm.At(body, path...)
		switch {
		case now == nil && was != nil:
			put(body, path, was)
		case now == nil || same(was, now) || was == nil && f.called != "zones" && f.called != "availabilitySet.id":
		default:
			return notAllowed(f.called)
		}
	}
	return nil
}

func notAllowed(property string) *arm.Error {
	bad := arm.Errorf(http.StatusConflict, "PropertyChangeNotAllowed", "Changing property '%s' is not allowed.", property)
	bad.Target = property
	return bad
}

// same compares values as the service does: words whatever their case.
func same(a, b any) bool {
	s, isText := a.(string)
	t, both := b.(string)
	if isText && both {
		return strings.EqualFold(s, t)
	}
	return reflect.DeepEqual(a, b)
}

// put writes a value at a path, if what is around it is there.
func put(body map[string]any, path []string, v any) {
	for _, step := range path[:len(path)-1] {
		within, ok := arm.Field(body, step).(map[string]any)
		if !ok {
			return
		}
		body = within
	}
	body[path[len(path)-1]] = v
}

// customDataTag is where a machine keeps what its custom data was: nobody reads that again, and it cannot be changed.
const customDataTag = "drydockCustomData"

func checkCustomData(body, old map[string]any) *arm.Error {
	data := arm.Text(body, "properties", "osProfile", "customData")
	was := arm.Text(old, customDataTag)
	if data == "" {
		if was != "" {
			body[customDataTag] = was
		}
		return nil
	}
	sum := sha256.Sum256([]byte(data))
	now := hex.EncodeToString(sum[:])
	if old != nil && was != now {
		return notAllowed("osProfile.customData")
	}
	body[customDataTag] = now
	return nil
}

// skuUnchanged refuses another SKU for a balancer or an address (SkuCannotBeChangedOnUpdate: so the fluent SDKs for Java and .NET say of both; its text is not
// known), and keeps one that a PUT leaves out. An address that nothing has may become a standard one (learn.microsoft.com "Upgrade a public IP address").
func skuUnchanged(_ *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	was, now := arm.Text(old, "sku", "name"), arm.Text(body, "sku", "name")
	switch {
	case old == nil || was == "" || strings.EqualFold(was, now):
	case now == "":
		body["sku"] = old["sku"]
	case strings.EqualFold(id.Type(), "Microsoft.Network/publicIPAddresses") && strings.EqualFold(was, "Basic") && arm.At(old, "properties", "ipConfiguration") == nil:
	default:
		return arm.Errorf(http.StatusBadRequest, "SkuCannotBeChangedOnUpdate", "The SKU of resource %s cannot be changed from %s to %s on an update.", id, was, now)
	}
	return nil
}
