package azure

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

// fetch reads a URL of plain HTTP.
func fetch(t *testing.T, url string, header map[string]string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	_ = json.Unmarshal(raw, &body)
	return resp.StatusCode, body
}

func TestAMachineLearnsOfItselfAndGetsATokenThatIsGood(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	s := serving(t, func(ctx context.Context) (*Server, error) { return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0"}) })
	if status, _ := fetch(t, s.Ready.IMDS+"/metadata/instance?api-version=2021-02-01", nil); status != http.StatusBadRequest {
		t.Errorf("without the Metadata header: %d", status)
	}
	meta := map[string]string{"Metadata": "true"}
	if _, body := fetch(t, s.Ready.IMDS+"/metadata/instance?api-version=2021-02-01&format=json", meta); arm.Text(body, "compute", "name") != "vm-1" || arm.Text(body, "compute", "location") != "westeurope" {
		t.Errorf("the instance: %v", body)
	}
	status, token := fetch(t, s.Ready.IMDS+"/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F", meta)
	if status != http.StatusOK || arm.Text(token, "token_type") != "Bearer" || arm.Text(token, "expires_in") != "3599" {
		t.Fatalf("the identity's token: %d %v", status, token)
	}
	client, err := NewClient(t.Context(), s.Ready, s.CA, "me")
	if err != nil {
		t.Fatal(err)
	}
	client.token = arm.Text(token, "access_token")
	if err := client.Do(t.Context(), http.MethodGet, "resourceGroups/g", nil, nil); statusOf(err) != http.StatusNotFound { // another subscription's group: the token is good
		t.Errorf("with the identity's token: %v", err)
	}
}

func TestTheCloudDescribesItself(t *testing.T) {
	c := newClient(t)
	list := c.do(http.MethodGet, "/metadata/endpoints?api-version=2019-05-01", "")
	var all []map[string]any
	if err := json.Unmarshal(list.Body.Bytes(), &all); err != nil || len(all) != 1 || arm.Text(all[0], "resourceManager") != "https://management.example" {
		t.Errorf("since 2019: %s", list.Body)
	}
	old := c.want(http.StatusOK, http.MethodGet, "/metadata/endpoints?api-version=1.0", "")
	if arm.Text(old, "authentication", "loginEndpoint") != "https://management.example" {
		t.Errorf("before: %v", old)
	}
	for path, issuer := range map[string]string{
		"/" + DefaultTenant + "/v2.0/.well-known/openid-configuration": "https://management.example/" + DefaultTenant + "/v2.0", "/adfs/.well-known/openid-configuration": "https://management.example/adfs",
	} {
		if body := c.want(http.StatusOK, http.MethodGet, path, ""); arm.Text(body, "issuer") != issuer {
			t.Errorf("%s: %v", path, body)
		}
	}
}
