package provider

import (
	"net/http"
	"regexp"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// What names are held to is in learn.microsoft.com "Naming rules and restrictions for Azure resources"; the words are those that clients report. Where those
// are not known (groups, identities), names are not looked at.
var (
	networkName  = regexp.MustCompile(`^[A-Za-z0-9]([\w.-]{0,78}\w)?$`)
	hostName     = regexp.MustCompile("[`~!@#$%^&*()=+_\\[\\]{}\\\\|;:'\",<>/?\\s]")
	entirelyNums = regexp.MustCompile(`^\d+$`)
)

// networkNamed holds the name of a new resource of Microsoft.Network, and those in its document, to the service's rule (hashicorp/terraform-provider-azurerm#21093,
// kubernetes-sigs/cloud-provider-azure#1443).
func networkNamed(_ *resource.Tx, id arm.ID, body, old map[string]any) *arm.Error {
	if strings.EqualFold(id.Types[0], "privateDnsZones") { // what is in a zone has the names of DNS: @, *, _sip._tcp
		return nil
	}
	if old == nil && !networkName.MatchString(id.Name()) {
		return badName(id.Name())
	}
	properties, _ := body["properties"].(map[string]any)
	for property := range properties {
		for _, child := range arm.Objects(properties, property) {
			if name, ok := child["name"].(string); ok && !networkName.MatchString(name) {
				return badName(name)
			}
		}
	}
	return nil
}

func badName(name string) *arm.Error {
	return arm.Errorf(http.StatusBadRequest, "InvalidResourceName",
		"Resource name %s is invalid. The name can be up to 80 characters long. It must begin with a word character, and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'.", name)
}

// checkHostName holds the name that a new machine gives itself to what its system takes (MicrosoftDocs, "Understand common error messages when you manage
// virtual machines": InvalidParameter).
func checkHostName(body, old map[string]any) *arm.Error {
	properties, _ := body["properties"].(map[string]any)
	name := arm.Text(properties, "osProfile", "computerName")
	if name == "" || old != nil {
		return nil
	}
	says := ""
	switch windows := system(properties) == "Windows"; {
	case windows && (len(name) > 15 || entirelyNums.MatchString(name) || hostName.MatchString(name) || strings.Contains(name, ".")):
		says = "Windows computer name cannot be more than 15 characters long, be entirely numeric, or contain the following characters: ` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : . ' \" , < > / ?."
	case !windows && (len(name) > 64 || hostName.MatchString(name)):
		says = "Linux host name cannot exceed 64 characters in length or contain the following characters: ` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : ' \" , < > / ?."
	default:
		return nil
	}
	bad := arm.Errorf(http.StatusBadRequest, "InvalidParameter", "%s", says)
	bad.Target = "computerName"
	return bad
}

// reservedName is a name that nothing with an endpoint may have (learn.microsoft.com "Resolve errors for reserved resource names").
var reservedName = regexp.MustCompile(`(?i)microsoft|windows|^login|^(?:access|app_code|app_themes|app_data|app_globalresources|app_localresources|app_webreferences|app_browsers|azure|bing|bizspark|biztalk|cortana|directx|dotnet|` +
	`dynamics|excel|exchange|forefront|groove|hololens|hyperv|kinect|lync|msdn|o365|office|office365|onedrive|onenote|outlook|powerpoint|sharepoint|skype|visio|visualstudio|web\.config|xbox)$`)

func reservedWord(name string) *arm.Error {
	if !reservedName.MatchString(name) {
		return nil
	}
	return arm.Gatewayf(http.StatusBadRequest, "ReservedResourceName", "The resource name '%s' or a part of the name is a trademarked or reserved word.", name)
}
