package provider

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// vaultTypes are Microsoft.KeyVault's, as management has them: a secret's value is written and never told, and who wants it asks the vault, which the twin
// is not. A vault that is deleted is kept for a time, with what it has.
func vaultTypes() []*resource.Type {
	const ns = "Microsoft.KeyVault/"
	return []*resource.Type{
		{
			Name: ns + "vaults", Located: true, AtOnce: resource.Every, Check: checkVault, Fill: fillVault, Gone: goneVault, Made: madeVault, ReadOnly: []string{"vaultUri", "privateEndpointConnections"},
			Defaults: map[string]any{ // armkeyvault's models, and specification/keyvault/…/examples/createVault.json
				"properties.enableSoftDelete": true, "properties.softDeleteRetentionInDays": 90, "properties.publicNetworkAccess": "Enabled", "properties.accessPolicies": []any{},
				"properties.enabledForDeployment": false, "properties.enableRbacAuthorization": false,
			},
		},
		{Name: ns + "vaults/accessPolicies", AtOnce: resource.Every, No: resource.Patches | resource.Deletes | resource.Reads, Given: true, Put: putPolicies},
		{Name: ns + "vaults/secrets", AtOnce: resource.Every, No: resource.Deletes, Plain: true, Fill: fillSecret, Gone: goneChild},
		{Name: ns + "vaults/keys", AtOnce: resource.Every, No: resource.Patches | resource.Deletes, Plain: true, Codes: resource.Codes{Create: http.StatusOK}, Fill: fillKey, Gone: goneChild},
		{Name: ns + "vaults/keys/versions", Show: showKeyVersions},
		{Name: ns + "vaults/privateLinkResources", Show: showVaultLinks},
		{Name: ns + "deletedVaults", Show: showDeletedVaults},
		{Name: ns + "locations/deletedVaults", AtOnce: resource.Every, No: resource.Every, Actions: map[string]resource.Action{"purge": {Check: checkPurge, Then: purge}}, Save: saveKept, Resume: resumeKept},
		{Name: ns + "checkNameAvailability", No: resource.Every | resource.Reads, Actions: map[string]resource.Action{"checknameavailability": {Anew: true, Now: checkVaultName}}},
	}
}

var vaultName = regexp.MustCompile(`^[a-zA-Z](?:[a-zA-Z0-9]|-[a-zA-Z0-9]){2,23}$`)

const badVaultName = "The vault name '%s' is invalid. A vault's name must be between 3-24 alphanumeric characters. The name must begin with a letter, end with a letter or digit, and not contain consecutive hyphens. " +
	"Follow this link for more information: https://go.microsoft.com/fwlink/?linkid=2147742"

// deletedVault is where a vault is kept when it was deleted.
func deletedVault(subscription, location, name string) arm.ID {
	return arm.ID{Subscription: subscription, Provider: "Microsoft.KeyVault", Types: []string{"locations", "deletedVaults"}, Names: []string{strings.ToLower(strings.ReplaceAll(location, " ", "")), name}}
}

func vaults(v resource.View, subscription string) []*state.Document {
	docs, _ := v.List(arm.ID{Subscription: subscription, Provider: "Microsoft.KeyVault", Types: []string{"vaults"}}, "", 1<<30)
	return docs
}

func deletedVaults(v resource.View, subscription string) []*state.Document {
	docs, _ := v.List(arm.ID{Subscription: subscription, Provider: "Microsoft.KeyVault", Types: []string{"locations", "deletedVaults"}}, "", 1<<30)
	return docs
}

func checkVault(tx *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	again := strings.EqualFold(arm.Text(body, "properties", "createMode"), "recover")
	delete(arm.Object(body, "properties"), "createMode")
	before, _ := arm.At(old, "properties", "enablePurgeProtection").(bool)
	switch now, said := arm.At(body, "properties", "enablePurgeProtection").(bool); {
	case old != nil && before && said && !now:
		return arm.Errorf(http.StatusBadRequest, "BadRequest", "The property \"enablePurgeProtection\" cannot be set to false. Enabling the purge protection for a vault is an irreversible action.")
	case old != nil:
		return nil
	case !vaultName.MatchString(id.Name()) || len(id.Name()) > 24:
		return arm.Errorf(http.StatusBadRequest, "VaultNameNotValid", badVaultName, id.Name())
	case slices.ContainsFunc(vaults(tx.View, id.Subscription), func(d *state.Document) bool { return strings.EqualFold(d.ID.Name(), id.Name()) }):
		return arm.Errorf(http.StatusConflict, "VaultAlreadyExists", "The vault name '%s' is already in use. Vault names are globally unique so it is possible that the name is already taken. "+
			"If you are sure that the vault name was not taken then it is possible that a vault with the same name was recently deleted but not purged after being placed in a recoverable state. "+
			"If the vault is in a recoverable state then the vault will need to be purged before reusing the name.", id.Name())
	}
	kept := slices.IndexFunc(deletedVaults(tx.View, id.Subscription), func(d *state.Document) bool { return strings.EqualFold(d.ID.Name(), id.Name()) })
	switch {
	case kept < 0 && again:
		return arm.Errorf(http.StatusNotFound, "NotFound", "The specified vault: '%s' could not be found.", id.Name())
	case kept >= 0 && !again:
		return arm.Errorf(http.StatusConflict, "ConflictError", "A vault with the same name already exists in deleted state. You need to either recover or purge existing key vault. "+
			"Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.")
	case kept >= 0:
		was, _ := deletedVaults(tx.View, id.Subscription)[kept].Hidden[vaultTag].(string)
		if err := json.Unmarshal([]byte(was), &body); err != nil {
			return arm.Errorf(http.StatusInternalServerError, "InternalServerError", "The vault '%s' as it was: %v", id.Name(), err)
		}
	}
	return nil
}

// vaultTag is where a deleted vault is kept as it was, hidden from clients.
const vaultTag = "drydockVault"

func fillVault(tx *resource.Tx, id arm.ID, body, _ map[string]any) {
	p := arm.Object(body, "properties")
	if p["tenantId"] == nil {
		p["tenantId"] = tx.Tenant()
	}
	if p["sku"] == nil {
		p["sku"] = map[string]any{"family": "A", "name": "standard"}
	}
	p["vaultUri"] = "https://" + strings.ToLower(id.Name()) + ".vault.azure.net/"
}

// madeVault gives a vault that was recovered what it had.
func madeVault(tx *resource.Tx, id arm.ID) *arm.Error {
	d := tx.Get(id)
	if d == nil {
		return nil
	}
	kept := deletedVault(id.Subscription, arm.Text(d.Body(), "location"), id.Name())
	if tx.Get(kept) == nil {
		return nil
	}
	for _, child := range tx.Below(kept) {
		body := child.Body()
		own, ok := arm.ParseID(arm.Text(body, "id"))
		own.ResourceGroup = id.ResourceGroup
		if body["id"] = own.String(); ok {
			tx.Put(own, body)
		}
	}
	tx.Erase(kept)
	return nil
}

// goneChild keeps what a vault had when the vault is deleted: nobody deletes it by itself here.
func goneChild(tx *resource.Tx, id arm.ID, body map[string]any) {
	kept := deletedVault(id.Subscription, arm.Text(body, "location"), id.Names[0])
	kept.Types, kept.Names = append(kept.Types, id.Types[1]), append(kept.Names, id.Names[1])
	tx.Put(kept, body)
}

func goneVault(tx *resource.Tx, id arm.ID, body map[string]any) {
	days, _ := arm.Number(arm.At(body, "properties", "softDeleteRetentionInDays"))
	now, wait := tx.Now(), time.Duration(days)*24*time.Hour
	kept := deletedVault(id.Subscription, arm.Text(body, "location"), id.Name())
	p := map[string]any{"vaultId": id.String(), "location": body["location"], "deletionDate": arm.Timestamp(now), "scheduledPurgeDate": arm.Timestamp(now.Add(wait))}
	if protected := arm.At(body, "properties", "enablePurgeProtection"); protected != nil {
		p["purgeProtectionEnabled"] = protected
	}
	was := map[string]any{"properties": body["properties"]}
	if tags := body["tags"]; tags != nil {
		p["tags"], was["tags"] = tags, tags
	}
	tx.Put(kept, map[string]any{"id": kept.String(), "name": id.Name(), "type": "Microsoft.KeyVault/deletedVaults", "properties": p, vaultTag: string(arm.Marshal(was))})
	purgeLater(tx, kept, wait)
}

// purgeLater takes a vault away that is kept, when its time has come, unless it was recovered or is another by then.
func purgeLater(tx *resource.Tx, kept arm.ID, wait time.Duration) {
	since := arm.Text(tx.Get(kept).Body(), "properties", "deletionDate")
	tx.After(kept.Subscription, wait, func(tx *resource.Tx) {
		if d := tx.Get(kept); d != nil && arm.Text(d.Body(), "properties", "deletionDate") == since {
			tx.Erase(kept)
		}
	})
}

// saveKept and resumeKept keep how long a vault is still kept, for another process.
func saveKept(v resource.View, id arm.ID) any {
	at, err := time.Parse(time.RFC3339Nano, arm.Text(v.Get(id).Body(), "properties", "scheduledPurgeDate"))
	if err != nil {
		return nil
	}
	return at.Sub(v.Now())
}

func resumeKept(tx *resource.Tx, id arm.ID, saved json.RawMessage) *arm.Error {
	var left time.Duration
	if err := json.Unmarshal(saved, &left); err != nil || tx.Get(id) == nil {
		return arm.Errorf(http.StatusBadRequest, "InvalidParameter", "how long the vault '%s' is kept: %s", id.Name(), saved)
	}
	purgeLater(tx, id, max(left, 0))
	return nil
}

func showDeletedVaults(v resource.View, id arm.ID) map[string]any {
	if !id.Collection() {
		return nil
	}
	all := []any{}
	for _, d := range deletedVaults(v, id.Subscription) {
		all = append(all, d.Public())
	}
	return map[string]any{"value": all}
}

func checkPurge(tx *resource.Tx, id arm.ID, _ map[string]any) *arm.Error {
	if protected, _ := arm.At(tx.Get(id).Body(), "properties", "purgeProtectionEnabled").(bool); protected {
		return arm.Errorf(http.StatusMethodNotAllowed, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.")
	}
	return nil
}

func purge(tx *resource.Tx, id arm.ID, _ map[string]any) *arm.Error {
	tx.Erase(id)
	return nil
}

// putPolicies adds access policies to a vault, takes them away or replaces all: what is done is said in the path.
func putPolicies(tx *resource.Tx, r *resource.Request, body map[string]any) *arm.Error {
	vault, how := r.ID.Top(1), strings.ToLower(r.ID.Name())
	if !slices.Contains([]string{"add", "remove", "replace"}, how) {
		return arm.Errorf(http.StatusBadRequest, "BadRequest", "The access policy operation '%s' is not one of add, remove and replace.", r.ID.Name())
	}
	given := arm.Objects(body, "properties", "accessPolicies")
	same := func(a map[string]any) func(b map[string]any) bool {
		return func(b map[string]any) bool {
			return strings.EqualFold(arm.Text(a, "objectId"), arm.Text(b, "objectId")) && strings.EqualFold(arm.Text(a, "applicationId"), arm.Text(b, "applicationId"))
		}
	}
	all := []any{}
	if how != "replace" {
		for _, was := range arm.Objects(tx.Get(vault).Body(), "properties", "accessPolicies") {
			if !slices.ContainsFunc(given, same(was)) {
				all = append(all, was)
			}
		}
	}
	if how != "remove" {
		for _, g := range given {
			all = append(all, g)
		}
	}
	tx.Edit(vault, func(b map[string]any) { arm.Object(b, "properties")["accessPolicies"] = all })
	r.Answer(http.StatusOK, map[string]any{
		"id": vault.String() + "/accessPolicies/", "type": "Microsoft.KeyVault/vaults/accessPolicies", "properties": map[string]any{"accessPolicies": all},
	})
	return nil
}

// fillSecret makes a version of each value that is written; the value itself is kept by nobody (schema).
func fillSecret(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	p := arm.Object(body, "properties")
	version := arm.Text(old, "properties", "secretUriWithVersion")
	if p["value"] != nil || old == nil {
		version = ""
	}
	uri := versioned(tx, id, body, "secrets", version)
	p["secretUri"], p["secretUriWithVersion"] = uri[0], uri[1]
	attributes(tx, body, old)
}

// fillKey makes no key: what a client may know of one is there, and a key that is there stays as it is.
func fillKey(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	p := arm.Object(body, "properties")
	if old != nil {
		clear(p)
		for k, v := range arm.Object(old, "properties") {
			p[k] = v
		}
		body["location"] = old["location"]
		return
	}
	kty := arm.Text(p, "kty")
	if size := p["keySize"]; size == nil && strings.HasPrefix(strings.ToUpper(kty), "RSA") {
		p["keySize"] = 2048
	}
	if curve := p["curveName"]; curve == nil && strings.HasPrefix(strings.ToUpper(kty), "EC") {
		p["curveName"] = "P-256"
	}
	uri := versioned(tx, id, body, "keys", "")
	p["keyUri"], p["keyUriWithVersion"] = uri[0], uri[1]
	attributes(tx, body, old)
}

// versioned are the addresses of a child of a vault, without its version and with it; empty: a new one.
func versioned(tx *resource.Tx, id arm.ID, body map[string]any, kind, version string) [2]string {
	vault := tx.Get(id.Top(1)).Body()
	body["location"] = vault["location"]
	plain := arm.Text(vault, "properties", "vaultUri") + kind + "/" + id.Name()
	if version == "" {
		version = plain + "/" + strings.ReplaceAll(arm.Derived("version", id.String(), arm.Timestamp(tx.Now())), "-", "")
	}
	return [2]string{plain, version}
}

func attributes(tx *resource.Tx, body, old map[string]any) {
	a := arm.Object(arm.Object(body, "properties"), "attributes")
	if a["enabled"] == nil {
		a["enabled"] = true
	}
	if a["created"] = arm.At(old, "properties", "attributes", "created"); a["created"] == nil {
		a["created"] = tx.Now().Unix()
	}
	a["updated"] = tx.Now().Unix()
}

// showKeyVersions are those of a key: the one it has.
func showKeyVersions(v resource.View, id arm.ID) map[string]any {
	key := v.Body(id.Top(2))
	if key == nil {
		return nil
	}
	uri := arm.Text(key, "properties", "keyUriWithVersion")
	name := uri[strings.LastIndexByte(uri, '/')+1:]
	key["id"], key["name"], key["type"] = id.Top(2).String()+"/versions/"+name, name, "Microsoft.KeyVault/vaults/keys/versions"
	return pick(id, 2, []any{key})
}

func showVaultLinks(v resource.View, id arm.ID) map[string]any {
	vault := id.Top(1)
	if v.Get(vault) == nil || !id.Collection() {
		return nil
	}
	return map[string]any{"value": []any{map[string]any{
		"id": vault.String() + "/privateLinkResources/vault", "name": "vault", "type": "Microsoft.KeyVault/vaults/privateLinkResources",
		"properties": map[string]any{"groupId": "vault", "requiredMembers": []any{"default"}, "requiredZoneNames": []any{"privatelink.vaultcore.azure.net"}},
	}}}
}

// checkVaultName tells whether a vault may have a name. In Azure no subscription may have one of another's; here only the one that asks is looked at.
func checkVaultName(tx *resource.Tx, r *resource.Request, body map[string]any) (map[string]any, *arm.Error) {
	name := arm.Text(body, "name")
	switch {
	case !vaultName.MatchString(name) || len(name) > 24:
		return map[string]any{"nameAvailable": false, "reason": "AccountNameInvalid", "message": strings.Replace(badVaultName, "%s", name, 1)}, nil
	case slices.ContainsFunc(slices.Concat(vaults(tx.View, r.ID.Subscription), deletedVaults(tx.View, r.ID.Subscription)), func(d *state.Document) bool { return strings.EqualFold(d.ID.Name(), name) }):
		return map[string]any{"nameAvailable": false, "reason": "AlreadyExists", "message": "The vault name '" + name + "' is already in use."}, nil
	}
	return map[string]any{"nameAvailable": true}, nil
}
