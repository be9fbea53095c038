package provider

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/state"
)

// storageTypes are Microsoft.Storage's: accounts, and what their services say of themselves and have in them, as management shows it. What is in a container
// or a share is nobody's: the twin has no data.
func storageTypes() []*resource.Type {
	const ns = "Microsoft.Storage/"
	const account = ns + "storageAccounts"
	ok := resource.Codes{Create: http.StatusOK}
	none := resource.Codes{Create: http.StatusOK, Delete: http.StatusNoContent}
	types := []*resource.Type{
		{
			Name: account, Located: true, AtOnce: resource.Patches | resource.Deletes, Codes: resource.Codes{Create: http.StatusAccepted}, Check: checkAccount, Fill: fillAccount, Made: madeAccount,
			ReadOnly: []string{"creationTime", "primaryLocation", "primaryEndpoints", "statusOfPrimary", "keyCreationTime", "privateEndpointConnections"},
			// As specification/storage/…/examples, StorageAccountCreate.json, shows them.
			Defaults: map[string]any{
				"properties.supportsHttpsTrafficOnly": true, "properties.networkAcls.bypass": "AzureServices", "properties.networkAcls.defaultAction": "Allow",
				"properties.networkAcls.virtualNetworkRules": []any{}, "properties.networkAcls.ipRules": []any{}, "properties.privateEndpointConnections": []any{},
				"properties.encryption.keySource": "Microsoft.Storage",
			},
			Actions: map[string]resource.Action{"listkeys": {Now: listKeys}, "regeneratekey": {Now: regenerateKey}, "listaccountsas": {Now: accountSAS}, "listservicesas": {Now: serviceSAS}},
		},
		{Name: account + "/managementPolicies", AtOnce: resource.Every, No: resource.Patches, Plain: true, Codes: ok, Fill: modified},
		{Name: account + "/encryptionScopes", AtOnce: resource.Every, No: resource.Deletes, Plain: true, Fill: modified, Defaults: map[string]any{"properties.state": "Enabled", "properties.source": "Microsoft.Storage"}},
		{Name: account + "/blobServices/containers", AtOnce: resource.Every, Plain: true, Tagged: true, Fill: modified, Defaults: map[string]any{
			"properties.publicAccess": "None", "properties.leaseStatus": "Unlocked", "properties.leaseState": "Available", "properties.hasImmutabilityPolicy": false, "properties.hasLegalHold": false,
			"properties.defaultEncryptionScope": "$account-encryption-key", "properties.denyEncryptionScopeOverride": false,
		}},
		{Name: account + "/fileServices/shares", AtOnce: resource.Every, Plain: true, Tagged: true, Fill: modified, Defaults: map[string]any{
			"properties.shareQuota": 5120, "properties.enabledProtocols": "SMB", "properties.accessTier": "TransactionOptimized", "properties.leaseStatus": "unlocked", "properties.leaseState": "available",
		}},
		{Name: account + "/queueServices/queues", AtOnce: resource.Every, Plain: true, Codes: none},
		{Name: account + "/tableServices/tables", AtOnce: resource.Every, Plain: true, Codes: none, Fill: func(_ *resource.Tx, id arm.ID, body, _ map[string]any) {
			arm.Object(body, "properties")["tableName"] = id.Name()
		}},
		{Name: account + "/privateLinkResources", Show: showAccountLinks},
		{Name: ns + "locations/usages", Show: showStorageUsages},
		{Name: ns + "skus", Show: showStorageSKUs},
	}
	for _, s := range storageServices() { // each account has one of each, called default
		types = append(types, &resource.Type{Name: account + "/" + s, AtOnce: resource.Every, No: resource.Patches | resource.Deletes, Plain: true, Given: true, Check: checkService})
	}
	return types
}

func storageServices() []string {
	return []string{"blobServices", "fileServices", "queueServices", "tableServices"}
}

func checkAccount(tx *resource.Tx, id arm.ID, _, old map[string]any) *arm.Error {
	if old != nil {
		return nil
	}
	if bad := reservedWord(id.Name()); bad != nil {
		return bad
	}
	if !storageName.MatchString(id.Name()) {
		return arm.Errorf(http.StatusBadRequest, "AccountNameInvalid", "%s is not a valid storage account name. Storage account name must be between 3 and 24 characters in length and use numbers and lower-case letters only.", id.Name())
	}
	for _, d := range accounts(tx.View, id.Subscription) {
		if strings.EqualFold(d.ID.Name(), id.Name()) {
			return arm.Errorf(http.StatusConflict, "StorageAccountInAnotherResourceGroup", "The account %s is already in another resource group in this subscription.", id.Name())
		}
	}
	return nil
}

func accounts(v resource.View, subscription string) []*state.Document {
	docs, _ := v.List(arm.ID{Subscription: subscription, Provider: "Microsoft.Storage", Types: []string{"storageAccounts"}}, "", 1<<30)
	return docs
}

// general reports whether an account is one of those that have every service.
func general(kind string) bool { return strings.EqualFold(kind, "StorageV2") }

func fillAccount(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	p, kind := arm.Object(body, "properties"), arm.Text(body, "kind")
	if sku := arm.Object(body, "sku"); sku["name"] != nil {
		tier, _, _ := strings.Cut(arm.Text(sku, "name"), "_")
		sku["tier"] = tier
	}
	if p["accessTier"] == nil && (general(kind) || strings.EqualFold(kind, "BlobStorage")) {
		p["accessTier"] = "Hot"
	}
	identify(tx, id, body, old)
	body[keysTag] = old[keysTag]
	services := arm.Object(arm.Object(p, "encryption"), "services")
	for _, s := range []string{"blob", "file"} {
		if was := arm.At(old, "properties", "encryption", "services", s); services[s] == nil && was != nil {
			services[s] = was
		} else if services[s] == nil {
			services[s] = map[string]any{"enabled": true, "keyType": "Account", "lastEnabledTime": arm.Timestamp(tx.Now())}
		}
	}
	if old != nil {
		return
	}
	now := arm.Timestamp(tx.Now())
	p["creationTime"], p["keyCreationTime"] = now, map[string]any{"key1": now, "key2": now}
	p["primaryLocation"], p["statusOfPrimary"] = strings.ToLower(strings.ReplaceAll(arm.Text(body, "location"), " ", "")), "available"
	has := []string{"blob", "queue", "table", "file"}
	if general(kind) {
		has = append(has, "dfs", "web")
	}
	endpoints := map[string]any{}
	for _, s := range has {
		if endpoints[s] = "https://" + id.Name() + "." + s + ".core.windows.net/"; s == "web" { // of the region's first: which one it is Azure chooses
			endpoints[s] = "https://" + id.Name() + ".z6.web.core.windows.net/"
		}
	}
	p["primaryEndpoints"] = endpoints
}

// madeAccount gives an account its services, with what they say of themselves before anybody changes it.
func madeAccount(tx *resource.Tx, id arm.ID) *arm.Error {
	for _, s := range storageServices() {
		service := id
		service.Types, service.Names = []string{"storageAccounts", s}, []string{id.Name(), "default"}
		if tx.Get(id) == nil || tx.Get(service) != nil {
			continue
		}
		p := map[string]any{"cors": map[string]any{"corsRules": []any{}}}
		switch s {
		case "blobServices":
			p["deleteRetentionPolicy"] = map[string]any{"enabled": false, "allowPermanentDelete": false}
		case "fileServices":
			p["shareDeleteRetentionPolicy"] = map[string]any{"enabled": true, "days": 7}
		}
		tx.Put(service, map[string]any{"id": service.String(), "name": "default", "type": "Microsoft.Storage/storageAccounts/" + s, "properties": p})
	}
	return nil
}

// checkService refuses to make a service: each account has those it has.
func checkService(_ *resource.Tx, id arm.ID, _, old map[string]any) *arm.Error {
	if old == nil {
		return arm.NotFound(id)
	}
	return nil
}

func modified(tx *resource.Tx, _ arm.ID, body, old map[string]any) {
	p := arm.Object(body, "properties")
	typ := arm.Text(body, "type")
	if strings.HasSuffix(typ, "encryptionScopes") {
		if p["creationTime"] = arm.At(old, "properties", "creationTime"); old == nil {
			p["creationTime"] = arm.Timestamp(tx.Now())
		}
	}
	p["lastModifiedTime"] = arm.Timestamp(tx.Now())
}

// keysTag is where an account keeps how often each of its keys was made anew, hidden from clients.
const keysTag = "drydockKeys"

func keyNames() []string { return []string{"key1", "key2"} }

// accountKey is one of an account's keys: it follows from the account and from how often it was made anew.
func accountKey(id arm.ID, body map[string]any, name string) string {
	turn, _ := arm.Number(arm.At(body, keysTag, name))
	id.ResourceGroup = "" // an account that is moved keeps its keys, and no two have one name
	seed := name + id.Key()
	if turn > 0 {
		seed += "|" + strconv.Itoa(int(turn))
	}
	sum := sha256.Sum256([]byte(seed))
	return base64.StdEncoding.EncodeToString(append(sum[:], sum[:]...))
}

func listKeys(tx *resource.Tx, r *resource.Request, _ map[string]any) (map[string]any, *arm.Error) {
	id := r.ID.Parent()
	body := tx.Get(id).Body()
	var keys []any
	for _, name := range keyNames() {
		key := map[string]any{"keyName": name, "value": accountKey(id, body, name), "permissions": "FULL"}
		if made := arm.Text(body, "properties", "keyCreationTime", name); made != "" {
			key["creationTime"] = made
		}
		keys = append(keys, key)
	}
	return map[string]any{"keys": keys}, nil
}

func regenerateKey(tx *resource.Tx, r *resource.Request, args map[string]any) (map[string]any, *arm.Error) {
	name := strings.ToLower(arm.Text(args, "keyName"))
	if !slices.Contains(keyNames(), name) {
		return nil, invalidParameter("keyName")
	}
	tx.Edit(r.ID.Parent(), func(b map[string]any) {
		turns := map[string]any{} // another one: what is hidden in a document is read by others
		for _, k := range keyNames() {
			turn, _ := arm.Number(arm.At(b, keysTag, k))
			if turns[k] = turn; k == name {
				turns[k] = turn + 1
			}
		}
		b[keysTag] = turns
		arm.Object(arm.Object(b, "properties"), "keyCreationTime")[name] = arm.Timestamp(tx.Now())
	})
	return listKeys(tx, r, nil)
}

// accountSAS and serviceSAS sign what the caller asks for with the key it names: another key, another signature.
func accountSAS(tx *resource.Tx, r *resource.Request, args map[string]any) (map[string]any, *arm.Error) {
	token, bad := signed(tx, r, args, [][2]string{{"ss", "signedServices"}, {"srt", "signedResourceTypes"}, {"sp", "signedPermission"}, {"se", "signedExpiry"}},
		[][2]string{{"st", "signedStart"}, {"sip", "signedIp"}, {"spr", "signedProtocol"}})
	return map[string]any{"accountSasToken": token}, bad
}

func serviceSAS(tx *resource.Tx, r *resource.Request, args map[string]any) (map[string]any, *arm.Error) {
	token, bad := signed(tx, r, args, [][2]string{{"", "canonicalizedResource"}}, [][2]string{{"sr", "signedResource"}, {"sp", "signedPermission"}, {"se", "signedExpiry"}, {"st", "signedStart"}, {"sip", "signedIp"}, {"spr", "signedProtocol"}, {"si", "signedIdentifier"}})
	return map[string]any{"serviceSasToken": token}, bad
}

func signed(tx *resource.Tx, r *resource.Request, args map[string]any, required, optional [][2]string) (string, *arm.Error) {
	id := r.ID.Parent()
	key := accountKey(id, tx.Get(id).Body(), cmp.Or(strings.ToLower(arm.Text(args, "keyToSign")), "key1"))
	token, sign := "sv=2015-04-05", []string{key}
	for i, p := range append(slices.Clone(required), optional...) {
		value := arm.Text(args, p[1])
		switch sign = append(sign, value); {
		case value == "" && i < len(required):
			return "", invalidParameter(p[1])
		case value != "" && p[0] != "":
			token += "&" + p[0] + "=" + url.QueryEscape(value)
		}
	}
	return token + "&sig=" + secret(sign...), nil
}

func showAccountLinks(v resource.View, id arm.ID) map[string]any {
	account := id.Top(1)
	if v.Get(account) == nil || !id.Collection() {
		return nil
	}
	return list([]string{"blob", "table", "queue", "file", "web", "dfs"}, func(s string) map[string]any {
		return map[string]any{
			"id": account.String() + "/privateLinkResources/" + s, "name": s, "type": "Microsoft.Storage/storageAccounts/privateLinkResources",
			"properties": map[string]any{"groupId": s, "requiredMembers": []any{s}, "requiredZoneNames": []any{"privatelink." + s + ".core.windows.net"}},
		}
	})
}

// showStorageUsages counts accounts: 250 of them are a region's (learn.microsoft.com, "Scalability targets for standard storage accounts").
func showStorageUsages(v resource.View, id arm.ID) map[string]any {
	return map[string]any{"value": []any{usage("StorageAccounts", "Storage Accounts", count(v, id.Subscription, id.Names[0], "Microsoft.Storage", "storageAccounts"), 250)}}
}

func showStorageSKUs(_ resource.View, id arm.ID) map[string]any {
	if !id.Collection() {
		return nil
	}
	return list([]string{"Standard_LRS", "Standard_ZRS", "Standard_GRS", "Standard_RAGRS", "Premium_LRS"}, func(name string) map[string]any {
		tier, _, _ := strings.Cut(name, "_")
		var where []any
		for _, r := range regions() {
			where = append(where, r.name)
		}
		return map[string]any{"name": name, "tier": tier, "kind": "StorageV2", "resourceType": "storageAccounts", "locations": where, "capabilities": []any{}, "restrictions": []any{}}
	})
}
