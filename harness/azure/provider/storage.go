package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// storageTypes are Microsoft.Storage's.
func storageTypes() []*resource.Type {
	return []*resource.Type{
		{Name: "Microsoft.Storage/storageAccounts", Located: true, AtOnce: resource.Patches | resource.Deletes, Codes: resource.Codes{Create: http.StatusAccepted}, Actions: map[string]resource.Action{"listkeys": {Now: listKeys}}},
	}
}

func listKeys(_ *resource.Tx, r *resource.Request, _ map[string]any) (map[string]any, *arm.Error) {
	var keys []any
	for _, name := range []string{"key1", "key2"} {
		sum := sha256.Sum256([]byte(name + r.ID.Key()))
		keys = append(keys, map[string]any{"keyName": name, "value": base64.StdEncoding.EncodeToString(append(sum[:], sum[:]...)), "permissions": "FULL"})
	}
	return map[string]any{"keys": keys}, nil
}
