package proxy

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	somePEM = "-----BEGIN RSA PRIVATE KEY-----\nTUlJRXZRSUJBREFOQmdrcWhraUc5dzBCQVFFRkFBU0NCS2N3Z2dTakFnRUFBb0lCQVFD\nTUlJRXZRSUJBREFOQmdrcWhraUc5dzBCQVFF\n-----END RSA PRIVATE KEY-----\n"
	someJWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
)

func base64ed(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// recorded is the line a recorder writes of an exchange.
func recorded(t *testing.T, e Exchange) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "r.jsonl")
	r, err := NewRecorder(file, false)
	if err != nil {
		t.Fatal(err)
	}
	e.Method, e.Status = http.MethodPut, http.StatusOK
	if err := r.write(e); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func quoted(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

// What AKS Engine sends (names of its templates' parameters), and what may come back, in every shape in which a secret was found in a recording.
func TestARecordingHoldsNoSecrets(t *testing.T) {
	asJSON := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	deploy := `{"properties":{"template":{"parameters":{"harmlessName":{"type":"secureString","defaultValue":"hunter2-default"},"pool":{"type":"string"}},"resources":[{"type":"Microsoft.Resources/deployments","properties":{"template":{"parameters":{"inner":{"type":"secureObject"}}},"parameters":{"inner":{"value":{"a":["hunter2-inner"]}}}}}]},
		"parameters":{"harmlessName":{"value":"hunter2-declared"},"pool":{"value":"keep-pool"},"servicePrincipalClientSecret":{"value":"hunter2-sp"},"caPrivateKey":{"value":` + quoted(base64ed(somePEM)) + `},"apiServerCertificate":{"value":"hunter2-cert"},"pinSecret":{"value":123456}}}}`
	for name, e := range map[string]Exchange{
		"a deployment":           {Request: asJSON, Sent: deploy},
		"what comes back":        {Response: asJSON, Got: `{"properties":{"parameters":{"x":{"type":"SecureString","value":"hunter2"}},"outputs":{"o":{"type":"secureObject","value":{"a":"hunter2"}},"n":{"type":"string","value":"keep-output"}}}}`},
		"a name and a value":     {Response: asJSON, Got: `{"env":[{"name":"DB_PASSWORD","value":"hunter2"},{"name":"PATH","value":"keep"}]}`},
		"parts of names":         {Request: asJSON, Sent: `{"osProfile":{"adminPassword":"hunter2","customData":"hunter2","windowsPasswd":"hunter2"},"myAccountKey2":"hunter2","blobSasUri":"hunter2","SqlConnectionStrings":["hunter2"],"credentials":{"a":{"b":"hunter2"}},"settings":{"fileUris":["keep"]},"protectedSettings":{"x":"hunter2"}}`},
		"a token anywhere":       {Response: asJSON, Got: `{"message":` + quoted("denied for "+someJWT) + `}`},
		"a PEM file anywhere":    {Response: asJSON, Got: `{"data":` + quoted("x: "+somePEM) + `}`},
		"a PEM file, escaped":    {Response: asJSON, Got: `{"data":` + quoted(quoted(somePEM)) + `}`},
		"a PEM file in base64":   {Response: asJSON, Got: `{"data":` + quoted("pre/fix/"+base64ed("  "+somePEM)) + `}`},
		"a token in base64":      {Response: asJSON, Got: `{"data":` + quoted(base64ed(`{"t":"`+someJWT+`"}`)) + `}`},
		"base64 within base64":   {Response: asJSON, Got: `{"data":` + quoted(base64ed("#cloud-config\nwrite_files:\n- content: "+base64ed(somePEM))) + `}`},
		"cloud-init as it is":    {Response: asJSON, Got: `{"data":` + quoted(base64ed(gzipped(t, "#cloud-config\n- content: "+base64ed(gzipped(t, somePEM))))) + `}`},
		"a connection string":    {Response: asJSON, Got: `{"message":"Endpoint=sb://keep.example;SharedAccessKeyName=x;SharedAccessKey=hunter2=;EntityPath=y"}`},
		"keys that are listed":   {URL: "https://management.azure.com/subscriptions/s/x/listKeys?api-version=1", Response: asJSON, Got: `{"keys":[{"keyName":"key1","value":"hunter2"}]}`},
		"a cluster's admin":      {URL: "https://management.azure.com/x/listClusterAdminCredential?api-version=1", Response: asJSON, Got: `{"kubeconfigs":[{"name":"clusterAdmin","value":"hunter2"}]}`},
		"what an error quotes":   {Request: asJSON, Sent: `{"protectedSettings":"hunter2-\"q","keep":"keep"}`, Response: asJSON, Got: `{"error":{"code":"keep","message":"Error converting value \"hunter2-\\\"q\" to type","details":[{"message":"hunter2-\"q"}]}}`},
		"a form":                 {Request: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Sent: "client_id=keep&client_secret=hunter2&client_assertion=" + someJWT + "&password=hunter2"},
		"JSON as a form":         {Request: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Sent: `{"a":"keep","adminPassword":"hunter2"}`},
		"half of it as a form":   {Request: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Sent: `{"adminPassword":"hunter2"`},
		"JSON within a string":   {Response: asJSON, Got: `{"message":` + quoted(`{"a":"keep","password":"hunter2"}`) + `}`},
		"text":                   {Response: http.Header{"Content-Type": {"text/plain"}}, Got: "the password is hunter2"},
		"XML":                    {Response: http.Header{"Content-Type": {"application/xml"}}, Got: "<Key>hunter2</Key>"},
		"JSON that is cut":       {Response: asJSON, Got: `{"a":{"adminPassword":"hunter2","b":"hun`},
		"JSON and more":          {Response: asJSON, Got: `{"a":1} hunter2`},
		"a form that is none":    {Request: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Sent: "a=%zz&password=hunter2"},
		"parameters of a URL":    {URL: "https://u:hunter2@x.example/p?sig=hunter2&mySasToken=hunter2&t=" + someJWT + "&keep=keep"},
		"a header":               {Request: http.Header{"Authorization": {"Bearer hunter2"}, "X-Functions-Key": {"hunter2"}, "X-Other": {someJWT}}, Response: http.Header{"Location": {"https://x/?code=hunter2&keep=keep"}, "Set-Cookie": {"hunter2"}}},
		"a number under a name":  {Request: asJSON, Sent: `{"password":123456}`},
		"bytes that are no text": {Response: asJSON, Got: gzipped(t, `{"password":"hunter2"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			line := recorded(t, e)
			for _, secret := range []string{"hunter2", "123456", "BEGIN RSA", "eyJhbGci", base64ed(somePEM)[8:40], "TUlJRXZRSUJBREFO"} {
				if strings.Contains(line, secret) {
					t.Errorf("it holds %q: %s", secret, line)
				}
			}
			for _, kept := range []string{"keep-pool", "keep-output", "keep"} {
				if strings.Contains(e.Sent+e.Got+e.URL, kept) && !strings.Contains(line, kept) {
					t.Errorf("it lacks %q: %s", kept, line)
				}
			}
			var sent struct{ Data string }
			if _ = json.Unmarshal([]byte(e.Got), &sent); sent.Data != "" && strings.Contains(line, sent.Data[:20]) {
				t.Errorf("what holds a secret is there: %s", line)
			}
			var again Exchange
			if err := json.Unmarshal([]byte(line), &again); err != nil {
				t.Fatal(err)
			}
			if (again.Sent == "") != (e.Sent == "") && again.Dropped.Sent == "" || (again.Got == "") != (e.Got == "") && again.Dropped.Got == "" {
				t.Errorf("what was dropped is not said: %s", line)
			}
		})
	}
	if line := recorded(t, Exchange{Response: http.Header{"Content-Type": {"text/html"}}, Got: "<html>"}); !strings.Contains(line, "6 bytes, text/html") {
		t.Errorf("how much of what was dropped is not said: %s", line)
	}
}

// A client that replays has to find its way: pages, operations, tokens, the form of documents.
func TestWhatAReplayNeedsIsRecordedAsItIs(t *testing.T) {
	asJSON := http.Header{"Content-Type": {"application/json"}}
	for _, body := range []string{
		`{"value":[{"id":"/subscriptions/s/resourceGroups/g","properties":{"provisioningState":"Succeeded","n":12345678901234567890}}],"nextLink":"https://management.azure.com/x?$skiptoken=AbC%3d\u0026api-version=1"}`,
		`{"token_endpoint":"https://login.microsoftonline.com/t/oauth2/v2.0/token","issuer":"i"}`,
		`{"error":{"code":"OperationNotAllowed","message":"too many"},"status":"Failed"}`,
	} {
		var e Exchange
		if err := json.Unmarshal([]byte(recorded(t, Exchange{Response: asJSON, Got: body})), &e); err != nil {
			t.Fatal(err)
		}
		var want, got any
		_ = json.Unmarshal([]byte(body), &want)
		_ = json.Unmarshal([]byte(e.Got), &got)
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got)
		if !bytes.Equal(a, b) {
			t.Errorf("%s became %s", body, e.Got)
		}
	}
	for _, u := range []string{"https://u:p@x.example/a?sig=abc&$skiptoken=x&t=" + someJWT, "https://management.azure.com/subscriptions/s/x?api-version=1&$expand=instanceView"} {
		if once := scrubURL(u); scrubURL(once) != once {
			t.Errorf("%s is scrubbed to %s and then to %s", u, once, scrubURL(once))
		}
	}
}

func TestARecordingHoldsNoSecretsOfVaultsAndDisks(t *testing.T) {
	const at = "https://management.azure.com/subscriptions/s/resourceGroups/g/providers/"
	for about, e := range map[string]Exchange{
		"a secret of a vault":           {URL: at + "Microsoft.KeyVault/vaults/v/secrets/x?api-version=1", Sent: `{"properties":{"value":"S3cr3t","contentType":"a"}}`},
		"one of a template":             {URL: at + "Microsoft.Resources/deployments/d", Sent: `{"properties":{"template":{"resources":[{"type":"Microsoft.KeyVault/vaults/secrets","name":"v/x","properties":{"value":"S3cr3t"}}]}}}`},
		"one of a vault in a template":  {URL: at + "Microsoft.Resources/deployments/d", Sent: `{"properties":{"template":{"resources":[{"type":"Microsoft.KeyVault/vaults","resources":[{"type":"secrets","properties":{"value":"S3cr3t"}}]}]}}}`},
		"the signature for a disk":      {URL: at + "Microsoft.Compute/disks/d/beginGetAccess", Got: `{"accessSAS":"https://md-1.blob.storage.azure.net/1/abcd?sr=b&sig=S3cr3t"}`},
		"that in an operation's status": {URL: at + "Microsoft.Compute/locations/l/DiskOperations/o", Got: `{"status":"Succeeded","properties":{"output":{"accessSAS":"https://md-1.blob.storage.azure.net/1/abcd?sr=b&sig=S3cr3t"}}}`},
		"the signature of an account":   {URL: at + "Microsoft.Storage/storageAccounts/a/ListAccountSas", Got: `{"accountSasToken":"sv=2015-04-05&sig=S3cr3t"}`},
		"a key that was made":           {URL: at + "Microsoft.Compute/sshPublicKeys/k/generateKeyPair", Got: `{"privateKey":"S3cr3t","publicKey":"ssh-rsa AAAA"}`},
		"where a console is":            {URL: at + "Microsoft.Compute/virtualMachines/v/retrieveBootDiagnosticsData", Got: `{"serialConsoleLogBlobUri":"https://b.blob.core.windows.net/c/l?sp=r&sig=S3cr3t"}`},
		"a command":                     {URL: at + "Microsoft.Compute/virtualMachines/v/runCommands/c", Sent: `{"properties":{"runAsPassword":"S3cr3t","protectedParameters":[{"name":"a","value":"S3cr3t"}]}}`},
	} {
		if line := recorded(t, e); strings.Contains(line, "S3cr3t") {
			t.Errorf("%s: %s", about, line)
		}
	}
}
