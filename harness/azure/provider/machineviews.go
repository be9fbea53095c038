package provider

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// computeViews are what Microsoft.Compute makes of its documents, or knows, when somebody asks.
func computeViews() []*resource.Type {
	const ns = "Microsoft.Compute/"
	return []*resource.Type{
		{Name: ns + "virtualMachines/vmSizes", Show: sizesOf},
		{Name: ns + "availabilitySets/vmSizes", Show: sizesOf},
		{Name: ns + "locations/virtualMachines", Show: located("virtualMachines")},
		{Name: ns + "locations/virtualMachineScaleSets", Show: located("virtualMachineScaleSets")},
		{Name: ns + "locations/runCommands", Show: showCommands},
		{Name: ns + "diskEncryptionSets/associatedResources", Show: showEncrypted},
		{Name: ns + "diskAccesses/privatelinkresources", Show: showDiskLinks},
	}
}

// sizesOf are the sizes that a machine, or the machines of an availability set, may have: all, for the twin's hosts are alike.
func sizesOf(v resource.View, id arm.ID) map[string]any {
	if v.Get(id.Top(1)) == nil || !id.Collection() {
		return nil
	}
	return showSizes(v, id)
}

// located lists a type by region.
func located(typ string) func(v resource.View, id arm.ID) map[string]any {
	return func(v resource.View, id arm.ID) map[string]any {
		if !id.Collection() {
			return nil
		}
		docs, _ := v.List(arm.ID{Subscription: id.Subscription, Provider: "Microsoft.Compute", Types: []string{typ}}, "", 1<<30)
		all := []any{}
		for _, d := range docs {
			if body := d.Public(); arm.SameLocation(arm.Text(body, "location"), id.Names[0]) {
				all = append(all, body)
			}
		}
		return map[string]any{"value": all}
	}
}

// showCommands are the commands that runCommand knows by name: the two that run a script of the caller's (specification/compute/…/examples,
// VirtualMachineRunCommandGet.json). Azure has more, each a script of its own.
func showCommands(_ resource.View, id arm.ID) map[string]any {
	one := func(name string) map[string]any {
		system, label, kind := "Linux", "Executes a Linux shell script", "shell"
		if name == "RunPowerShellScript" {
			system, label, kind = "Windows", "Executes a PowerShell script", "PowerShell"
		}
		return map[string]any{
			"$schema": "http://schema.management.azure.com/schemas/2016-11-17/runcommands.json", "id": name, "osType": system, "label": label,
			"description": "Custom multiline " + kind + " script should be defined in script property. Optional parameters can be set in parameters property.",
		}
	}
	names := []string{"RunPowerShellScript", "RunShellScript"}
	if id.Collection() {
		return list(names, one)
	}
	if i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, id.Name()) }); i >= 0 {
		body := one(names[i])
		body["script"], body["parameters"] = []any{}, []any{}
		return body
	}
	return nil
}

// showEncrypted are the ids of what is encrypted with a set.
func showEncrypted(v resource.View, id arm.ID) map[string]any {
	set := id.Top(1)
	if v.Get(set) == nil || !id.Collection() {
		return nil
	}
	all := []any{}
	for _, d := range v.Naming(set) {
		all = append(all, d.ID.String())
	}
	return map[string]any{"value": all}
}

// showDiskLinks is what a private endpoint of disks leads to (specification/compute/…/examples, DiskAccessPrivateLinkResources_Get.json).
func showDiskLinks(v resource.View, id arm.ID) map[string]any {
	if v.Get(id.Top(1)) == nil || !id.Collection() {
		return nil
	}
	return map[string]any{"value": []any{map[string]any{
		"id": id.Top(1).String() + "/privateLinkResources/disks", "name": "disks", "type": "Microsoft.Compute/diskAccesses/privateLinkResources",
		"properties": map[string]any{"groupId": "disks", "requiredMembers": []any{"diskAccess_1"}, "requiredZoneNames": []any{"privatelink.blob.core.windows.net"}},
	}}}
}

// bootDiagnostics are where a machine's console is written: for a time, by whoever knows the signatures. Where nobody switched it on there is nothing; Azure's
// code for that is not recorded.
func bootDiagnostics(tx *resource.Tx, r *resource.Request, _ map[string]any) (map[string]any, *arm.Error) {
	id := r.ID.Parent()
	body := tx.Get(id).Body()
	enabled, _ := arm.At(body, "properties", "diagnosticsProfile", "bootDiagnostics", "enabled").(bool)
	if len(id.Names) == 2 { // of an instance its scale set's model says so
		enabled, _ = arm.At(tx.Get(id.Top(1)).Body(), "properties", "virtualMachineProfile", "diagnosticsProfile", "bootDiagnostics", "enabled").(bool)
	}
	if !enabled {
		return nil, arm.Errorf(http.StatusConflict, "OperationNotAllowed", "Boot diagnostics are not enabled for '%s'.", id.Name())
	}
	container := "https://bootdiag.blob.core.windows.net/bootdiagnostics-" + arm.Derived("boot", id.String()) + "/"
	sign := "?sv=2018-03-28&sr=b&sp=r&sig=" + secret("boot", id.String())
	return map[string]any{"consoleScreenshotBlobUri": container + "screenshot.bmp" + sign, "serialConsoleLogBlobUri": container + "serialconsole.log" + sign}, nil
}

// assessed is what an assessment of patches finds: a machine of the twin lacks none.
func assessed(v resource.View, id arm.ID) map[string]any {
	return map[string]any{
		"status": arm.Succeeded, "assessmentActivityId": arm.Derived("assessment", id.String(), arm.Timestamp(v.Now())), "rebootPending": false,
		"criticalAndSecurityPatchCount": 0, "otherPatchCount": 0, "startDateTime": arm.Timestamp(v.Now()), "availablePatches": []any{},
	}
}

// generateKeys makes a pair of keys, and keeps the public one: the private one is told once, and kept nowhere.
func generateKeys(tx *resource.Tx, r *resource.Request, args map[string]any) (map[string]any, *arm.Error) {
	id := r.ID.Parent()
	failed := func(err error) (map[string]any, *arm.Error) {
		return nil, arm.Errorf(http.StatusInternalServerError, "InternalServerError", "A pair of keys: %v", err)
	}
	var private, public any
	var err error
	switch kind := arm.Text(args, "encryptionType"); {
	case kind == "" || strings.EqualFold(kind, "RSA"): // "If not provided, will default to RSA" (armcompute)
		var key *rsa.PrivateKey
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err == nil {
			private, public = key, &key.PublicKey
		}
	case strings.EqualFold(kind, "Ed25519"):
		public, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, invalidParameter("encryptionType")
	}
	if err != nil {
		return failed(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return failed(err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return failed(err)
	}
	authorized := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))) + " generated-by-azure"
	tx.Edit(id, func(b map[string]any) { arm.Object(b, "properties")["publicKey"] = authorized })
	return map[string]any{"id": id.String(), "publicKey": authorized, "privateKey": string(pem.EncodeToMemory(block))}, nil
}
