package azure

import (
	"crypto/sha256"
	"encoding/base64"
)

// storageTypes are Microsoft.Storage's.
func storageTypes() []*Type {
	return []*Type{
		{name: "Microsoft.Storage/storageAccounts", located: true, actions: map[string]Action{"listkeys": {now: listKeys}}},
	}
}

func listKeys(_ *Tx, r *Request, _ map[string]any) (map[string]any, *Error) {
	var keys []any
	for _, name := range []string{"key1", "key2"} {
		sum := sha256.Sum256([]byte(name + r.id.key()))
		keys = append(keys, map[string]any{"keyName": name, "value": base64.StdEncoding.EncodeToString(append(sum[:], sum[:]...)), "permissions": "FULL"})
	}
	return map[string]any{"keys": keys}, nil
}
