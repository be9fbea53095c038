package azure

import (
	"encoding/json"
	"fmt"
	"path/filepath"
)

// CloudName is the name of the cloud that Description is of, to clients that take the description of one from a file: the only name that the tools around
// go-autorest know for a cloud that is none of Microsoft's own.
const CloudName = "AzureStackCloud"

// Description is the twin as the file describes it whose name is in AZURE_ENVIRONMENT_FILEPATH (go-autorest's azure.Environment, and what azclient of
// cloud-provider-azure reads): where everything is that such a client asks for.
func (r Ready) Description() map[string]any {
	return map[string]any{
		"name": CloudName, "managementPortalURL": r.Endpoint, "publishSettingsURL": r.Endpoint, "serviceManagementEndpoint": r.Endpoint, "resourceManagerEndpoint": r.Endpoint + "/",
		"activeDirectoryEndpoint": r.Authority + "/", "galleryEndpoint": r.Endpoint, "keyVaultEndpoint": r.Endpoint, "graphEndpoint": r.Endpoint + "/", "storageEndpointSuffix": "core.example",
		"resourceManagerVMDNSSuffix": "cloudapp.azure.com", "tokenAudience": "https://management.azure.com/", "resourceIdentifiers": map[string]any{"graph": r.Endpoint, "keyVault": r.Endpoint},
	}
}

// WriteCloud writes that file.
func (r Ready) WriteCloud(file string) error {
	raw, err := json.MarshalIndent(r.Description(), "", "  ")
	if err != nil {
		return fmt.Errorf("environment file: %w", err)
	}
	return WriteFile(file, append(raw, '\n'), 0o644)
}

// announceCloud writes that file where it is wanted, and tells in the ready file where it is.
func (s *Server) announceCloud(file string) error {
	if file == "" {
		return nil
	}
	whole, err := filepath.Abs(file) // whoever reads the ready file may be elsewhere
	if err != nil {
		return fmt.Errorf("environment file: %w", err)
	}
	s.Ready.Cloud = whole
	return s.Ready.WriteCloud(whole)
}
