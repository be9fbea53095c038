package identity

import (
	"encoding/json"
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// IMDS is the instance metadata service, on plain HTTP: what a machine learns of itself, and its identity's tokens.
func (s *Service) IMDS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Metadata"), "true") || r.Header.Get("X-Forwarded-For") != "" {
			arm.Reply(w, http.StatusBadRequest, map[string]any{"error": "Bad request. Required metadata header not specified"})
			return
		}
		q := r.URL.Query()
		switch strings.Trim(strings.ToLower(r.URL.Path), "/") {
		case "metadata/instance", "metadata/instance/compute":
			body := s.instanceMetadata(q.Get("vm"))
			if strings.HasSuffix(strings.ToLower(r.URL.Path), "compute") {
				body, _ = body["compute"].(map[string]any)
			}
			arm.Reply(w, http.StatusOK, body)
		case "metadata/loadbalancer":
			arm.Reply(w, http.StatusOK, map[string]any{"loadbalancer": map[string]any{"publicIpAddresses": []any{}, "inboundRules": []any{}, "outboundRules": []any{}}})
		case "metadata/identity/oauth2/token":
			client := q.Get("client_id")
			if client == "" {
				client = arm.Derived("identity", "system")
			}
			raw, err := s.Tokens.Issue(client, q.Get("resource"), s.options.Tenant)
			if err != nil || q.Get("resource") == "" {
				arm.Reply(w, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": "Required audience parameter not specified"})
				return
			}
			body := s.tokenBody(raw, q.Get("resource"), false)
			body["client_id"] = client
			arm.Reply(w, http.StatusOK, body)
		case "metadata/versions":
			arm.Reply(w, http.StatusOK, map[string]any{"apiVersions": []string{"2017-08-01", "2018-02-01", "2018-10-01", "2019-06-04", "2020-06-01", "2021-02-01"}})
		default:
			arm.Reply(w, http.StatusNotFound, map[string]any{"error": "Not found"})
		}
	})
}

// instanceMetadata describes a virtual machine: the one that is named, or the first there is, or none in particular.
func (s *Service) instanceMetadata(name string) map[string]any {
	compute := map[string]any{
		"azEnvironment": "AzurePublicCloud", "location": s.options.Region, "name": name, "osType": "Linux", "subscriptionId": s.options.Subscription, "resourceGroupName": "",
		"vmId": "", "vmScaleSetName": "", "zone": "", "platformFaultDomain": "0", "platformUpdateDomain": "0", "vmSize": "Standard_D2s_v3", "tags": "", "resourceId": "",
	}
	var found *state.Document
	for _, d := range s.state.All() {
		if strings.EqualFold(d.ID.Type(), "Microsoft.Compute/virtualMachines") && (name == "" || strings.EqualFold(d.ID.Name(), name)) {
			found = d
			break
		}
	}
	if found != nil {
		var body map[string]any
		_ = json.Unmarshal(found.Raw, &body)
		compute["name"], compute["resourceId"], compute["resourceGroupName"], compute["subscriptionId"] = found.ID.Name(), found.ID.String(), found.ID.ResourceGroup, found.ID.Subscription
		compute["location"], compute["vmId"] = arm.Text(body, "location"), arm.Text(body, "properties", "vmId")
	}
	return map[string]any{"compute": compute, "network": map[string]any{"interface": []any{}}}
}
