package identity

import (
	"encoding/json"
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// Metadata is the instance metadata service, on plain HTTP: what a machine learns of itself, and its identity's tokens.
func (s *Service) Metadata(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Metadata"), "true") || r.Header.Get("X-Forwarded-For") != "" {
		arm.Reply(w, http.StatusBadRequest, map[string]any{"error": "Bad request. Required metadata header not specified"})
		return
	}
	q := r.URL.Query()
	switch strings.Trim(strings.ToLower(r.URL.Path), "/") {
	case "metadata/instance":
		arm.Reply(w, http.StatusOK, s.instanceMetadata(q.Get("vm")))
	case "metadata/instance/compute":
		arm.Reply(w, http.StatusOK, s.instanceMetadata(q.Get("vm"))["compute"])
	case "metadata/loadbalancer":
		arm.Reply(w, http.StatusOK, map[string]any{"loadbalancer": map[string]any{"publicIpAddresses": []any{}, "inboundRules": []any{}, "outboundRules": []any{}}})
	case "metadata/identity/oauth2/token":
		s.identityToken(w, q.Get("resource"), identityOf(r))
	case "metadata/versions":
		arm.Reply(w, http.StatusOK, map[string]any{"apiVersions": []string{"2017-08-01", "2018-02-01", "2018-10-01", "2019-06-04", "2020-06-01", "2021-02-01"}})
	default:
		arm.Reply(w, http.StatusNotFound, map[string]any{"error": "Not found"})
	}
}

func (s *Service) identityToken(w http.ResponseWriter, resource, client string) {
	if len(client) > maxName || len(resource) > maxName {
		resource = "" // nothing is called as long as that
	}
	raw, err := s.Tokens.Issue(client, resource, s.options.Tenant)
	if err != nil || resource == "" {
		arm.Reply(w, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": "Required audience parameter not specified"})
		return
	}
	body := s.tokenBody(raw, resource, false)
	body["client_id"] = client
	arm.Reply(w, http.StatusOK, body)
}

// instanceMetadata describes a virtual machine: the one that is named, or the first there is, or none in particular.
func (s *Service) instanceMetadata(name string) map[string]any {
	compute := map[string]any{
		"azEnvironment": "AzurePublicCloud", "location": s.options.Region, "name": name, "osType": "Linux", "subscriptionId": s.options.Subscription, "resourceGroupName": "",
		"vmId": "", "vmScaleSetName": "", "zone": "", "platformFaultDomain": "0", "platformUpdateDomain": "0", "vmSize": "Standard_D2s_v3", "tags": "", "resourceId": "",
	}
	if found := s.state.Named("Microsoft.Compute/virtualMachines", name); found != nil {
		var body map[string]any
		_ = json.Unmarshal(found.Raw, &body)
		compute["name"], compute["resourceId"], compute["resourceGroupName"], compute["subscriptionId"] = found.ID.Name(), found.ID.String(), found.ID.ResourceGroup, found.ID.Subscription
		compute["location"], compute["vmId"] = arm.Text(body, "location"), arm.Text(body, "properties", "vmId")
	}
	return map[string]any{"compute": compute, "network": map[string]any{"interface": []any{}}}
}
