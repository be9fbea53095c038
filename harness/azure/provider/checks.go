package provider

import (
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// checkTypes are what the Resource Manager is asked about names and zones.
func checkTypes() []*resource.Type {
	const none = resource.Every | resource.Reads
	return []*resource.Type{
		{Name: "Microsoft.Resources/checkResourceName", In: resource.InTenant, No: none, Actions: map[string]resource.Action{"checkresourcename": {Anew: true, Now: checkResourceName}}},
		{Name: "Microsoft.Resources/checkZonePeers", No: none, Actions: map[string]resource.Action{"checkzonepeers": {Anew: true, Now: checkZonePeers}}},
	}
}

// trademark reports whether a name is one that nobody else may use (learn.microsoft.com "Resolve errors for reserved resource names").
func trademark(name string) bool {
	name = strings.ToUpper(name)
	whole := strings.Fields("ACCESS APPCODE APPTHEMES ASPNET_CLIENT AZURE BIN BING BIZSPARK BIZTALK CORTANA DIRECTX DOTNET DYNAMICS EXCEL EXCHANGE FOREFRONT GROOVE HOLOLENS HYPERV KINECT LYNC MSDN O365 OFFICE OFFICE365 ONEDRIVE ONENOTE OUTLOOK POWERPOINT SHAREPOINT SKYPE VISIO VISUALSTUDIO")
	return slices.Contains(whole, name) || strings.Contains(name, "MICROSOFT") || strings.Contains(name, "WINDOWS") || strings.HasPrefix(name, "LOGIN") || strings.HasPrefix(name, "XBOX")
}

func checkResourceName(_ *resource.Tx, _ *resource.Request, body map[string]any) (map[string]any, *arm.Error) {
	name, typ := arm.Text(body, "name"), arm.Text(body, "type")
	if name == "" || typ == "" {
		return nil, arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid: the properties 'name' and 'type' are required.")
	}
	if trademark(name) {
		return nil, arm.Gatewayf(http.StatusBadRequest, "ReservedResourceName", "The resource name '%s' or a part of the name is a trademarked or reserved word.", name)
	}
	return map[string]any{"name": name, "type": typ, "status": "Allowed"}, nil
}

// checkZonePeers tells which zone of another subscription is one of this: in the twin they have the same numbers.
func checkZonePeers(_ *resource.Tx, r *resource.Request, body map[string]any) (map[string]any, *arm.Error) {
	location := arm.Text(body, "location")
	asked, _ := arm.Field(body, "subscriptionIds").([]any)
	if location == "" || len(asked) == 0 {
		return nil, arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid: the properties 'location' and 'subscriptionIds' are required.")
	}
	zones := []any{}
	for _, zone := range []string{"1", "2", "3"} {
		peers := []any{}
		for _, s := range asked {
			id, _ := s.(string)
			peers = append(peers, map[string]any{"subscriptionId": id[strings.LastIndexByte(id, '/')+1:], "availabilityZone": zone})
		}
		zones = append(zones, map[string]any{"availabilityZone": zone, "peers": peers})
	}
	return map[string]any{"subscriptionId": r.ID.Subscription, "location": location, "availabilityZonePeers": zones}, nil
}
