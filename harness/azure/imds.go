package azure

import (
	"encoding/json"
	"net/http"
	"strings"
)

// IMDS is the instance metadata service, on plain HTTP: what a machine learns of itself, and its identity's tokens.
func (s *Identity) IMDS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Metadata"), "true") || r.Header.Get("X-Forwarded-For") != "" {
			reply(w, http.StatusBadRequest, map[string]any{"error": "Bad request. Required metadata header not specified"})
			return
		}
		q := r.URL.Query()
		switch strings.Trim(strings.ToLower(r.URL.Path), "/") {
		case "metadata/instance", "metadata/instance/compute":
			body := s.instanceMetadata(q.Get("vm"))
			if strings.HasSuffix(strings.ToLower(r.URL.Path), "compute") {
				body, _ = body["compute"].(map[string]any)
			}
			reply(w, http.StatusOK, body)
		case "metadata/loadbalancer":
			reply(w, http.StatusOK, map[string]any{"loadbalancer": map[string]any{"publicIpAddresses": []any{}, "inboundRules": []any{}, "outboundRules": []any{}}})
		case "metadata/identity/oauth2/token":
			client := q.Get("client_id")
			if client == "" {
				client = derived("identity", "system")
			}
			raw, err := s.tokens.issue(client, q.Get("resource"), "https://sts.windows.net/"+s.options.Tenant+"/")
			if err != nil || q.Get("resource") == "" {
				reply(w, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": "Required audience parameter not specified"})
				return
			}
			body := s.tokenBody(raw, q.Get("resource"), false)
			body["client_id"] = client
			reply(w, http.StatusOK, body)
		case "metadata/versions":
			reply(w, http.StatusOK, map[string]any{"apiVersions": []string{"2017-08-01", "2018-02-01", "2018-10-01", "2019-06-04", "2020-06-01", "2021-02-01"}})
		default:
			reply(w, http.StatusNotFound, map[string]any{"error": "Not found"})
		}
	})
}

// instanceMetadata describes a virtual machine: the one that is named, or the first there is, or none in particular.
func (s *Identity) instanceMetadata(name string) map[string]any {
	compute := map[string]any{
		"azEnvironment": "AzurePublicCloud", "location": s.options.Region, "name": name, "osType": "Linux", "subscriptionId": s.options.Subscription, "resourceGroupName": "",
		"vmId": "", "vmScaleSetName": "", "zone": "", "platformFaultDomain": "0", "platformUpdateDomain": "0", "vmSize": "Standard_D2s_v3", "tags": "", "resourceId": "",
	}
	var found *document
	for _, d := range s.state.all() {
		if strings.EqualFold(d.id.Type(), "Microsoft.Compute/virtualMachines") && (name == "" || strings.EqualFold(d.id.Name(), name)) {
			found = d
			break
		}
	}
	if found != nil {
		var body map[string]any
		_ = json.Unmarshal(found.raw, &body)
		compute["name"], compute["resourceId"], compute["resourceGroupName"], compute["subscriptionId"] = found.id.Name(), found.id.String(), found.id.ResourceGroup, found.id.Subscription
		compute["location"], compute["vmId"] = text(body, "location"), text(body, "properties", "vmId")
	}
	return map[string]any{"compute": compute, "network": map[string]any{"interface": []any{}}}
}
