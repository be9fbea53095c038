package template

// scopes are the functions that tell where a template is deployed, and its values (learn.microsoft.com "Scope functions", "Deployment functions for ARM templates").
func scopes() map[string]function {
	return map[string]function{
		"parameters":      {least: 1, most: 1, do: func(s *Scope, a []any) (any, error) { return parameter(s, text(a[0])) }},
		"variables":       {least: 1, most: 1, do: variable},
		"subscription":    told("subscription", func(s *Scope) map[string]any { return s.Subscription }),
		"resourcegroup":   told("resourceGroup", func(s *Scope) map[string]any { return s.ResourceGroup }),
		"tenant":          told("tenant", func(s *Scope) map[string]any { return s.Tenant }),
		"managementgroup": told("managementGroup", func(s *Scope) map[string]any { return s.ManagementGroup }),
		"deployment":      told("deployment", func(s *Scope) map[string]any { return s.Deployment }),
		"deployer":        told("deployer", func(s *Scope) map[string]any { return s.Deployer }),
		"environment": told("environment", func(s *Scope) map[string]any {
			if s.Environment != nil {
				return s.Environment
			}
			return publicCloud()
		}),
	}
}

// told is a function without arguments; where its scope is not, it is not expected.
func told(name string, of func(s *Scope) map[string]any) function {
	return function{do: func(s *Scope, _ []any) (any, error) {
		v := of(s)
		if v == nil {
			return nil, unexpected(name)
		}
		return v, nil
	}}
}

func parameter(s *Scope, name string) (any, error) {
	if v, there := lookup(s.Parameters, name); there {
		if u, unknown := v.(Unknown); unknown {
			return nil, u.Err
		}
		if late, ok := v.(func() (any, error)); ok { // a default that is not evaluated yet
			return late()
		}
		return v, nil
	}
	return nil, errorf("The template parameter '%s' is not found. Please see https://aka.ms/arm-functions/#parameters for usage details.", name)
}

func variable(s *Scope, a []any) (any, error) {
	if s.place == aDefault || s.place == aUserDefined {
		return nil, unexpected("variables")
	}
	return s.Variable(text(a[0]))
}

// publicCloud is what environment() tells in the public cloud, as its documentation shows it.
func publicCloud() map[string]any {
	return map[string]any{
		"name": "AzureCloud", "gallery": "https://gallery.azure.com/", "graph": "https://graph.windows.net/", "portal": "https://portal.azure.com",
		"graphAudience": "https://graph.windows.net/", "activeDirectoryDataLake": "https://datalake.azure.net/", "batch": "https://batch.core.windows.net/",
		"media": "https://rest.media.azure.net", "sqlManagement": "https://management.core.windows.net:8443/",
		"vmImageAliasDoc": "https://raw.githubusercontent.com/Azure/azure-rest-api-specs/master/arm-compute/quickstart-templates/aliases.json",
		"resourceManager": "https://management.azure.com/",
		"authentication": map[string]any{
			"loginEndpoint": "https://login.microsoftonline.com/", "audiences": []any{"https://management.core.windows.net/", "https://management.azure.com/"},
			"tenant": "common", "identityProvider": "AAD",
		},
		"suffixes": map[string]any{
			"acrLoginServer": ".azurecr.io", "azureDatalakeAnalyticsCatalogAndJob": "azuredatalakeanalytics.net", "azureDatalakeStoreFileSystem": "azuredatalakestore.net",
			"azureFrontDoorEndpointSuffix": "azurefd.net", "keyvaultDns": ".vault.azure.net", "sqlServerHostname": ".database.windows.net", "storage": "core.windows.net",
		},
	}
}
