// Package identity is what clients ask before they ask for resources: tokens and who has them, the description of the cloud, and the metadata of a
// machine. Anybody gets a token. It knows no resource but the machines it is asked of.
package identity

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// Options are what the services say of themselves.
type Options struct {
	Region, Tenant, Subscription string
	Clock                        arm.Clock
	Signer                       *Signer // nil: an own one
}

// Service is the token service, the description of the cloud, and the instance metadata service.
type Service struct {
	options Options
	Tokens  *Tokens
	state   state.View // the machines that metadata are asked of
}

// New makes one. Tokens are good where the same key is: of several in a process that have no own one.
func New(o Options, s state.View) *Service {
	return &Service{options: o, Tokens: newTokens(o.Tenant, o.Signer), state: s}
}

// Serve answers what an operation of the token service, or of the cloud's description, asks for.
func (s *Service) Serve(w http.ResponseWriter, r *http.Request, operation string) {
	parts := segments(r)
	switch _, what, _ := strings.Cut(operation, " "); what {
	case endpoints:
		s.endpoints(w, r)
	case discovery:
		s.discovery(w, r)
	case openID:
		s.openID(w, r, parts)
	case keys:
		s.keys(w)
	default:
		s.token(w, r, parts[0])
	}
}

// keys are those that tokens are signed with: any tenant's, of any version.
func (s *Service) keys(w http.ResponseWriter) {
	keys, err := s.Tokens.Keys()
	if err != nil {
		s.refuse(w, Failure{Status: http.StatusInternalServerError, Code: "server_error", Message: err.Error()})
		return
	}
	arm.Reply(w, http.StatusOK, keys)
}

// publicARM is Resource Manager of the public cloud, and a regional endpoint is below it.
const publicARM = "management.azure.com"

// public reports whether a host is Resource Manager's of the public cloud, which a client reaches the twin by through a proxy.
func public(host string) bool { return host == publicARM || strings.HasSuffix(host, "."+publicARM) }

// authority is the token service that a client of a host is told of: the public cloud's own, or that of the twin's endpoint, which is the endpoint itself.
func authority(r *http.Request) string {
	if public(r.Host) {
		return "https://login.windows.net" // as Resource Manager challenges (azure-powershell, TenantIdLookup)
	}
	return arm.BaseURL(r)
}

// endpoints is /metadata/endpoints: a list since 2019-05-01, one object before.
func (s *Service) endpoints(w http.ResponseWriter, r *http.Request) {
	base, suffix := arm.BaseURL(r), r.Host
	one := map[string]any{
		"name": "Drydock", "resourceManager": base, "portal": base, "gallery": base, "graph": base, "graphAudience": base,
		"authentication": map[string]any{"loginEndpoint": base, "audiences": []string{base + "/", "https://management.core.windows.net/", "https://management.azure.com/"}, "tenant": "common", "identityProvider": "AAD"},
		"suffixes":       map[string]any{"storage": "core." + suffix, "acrLoginServer": "azurecr." + suffix, "keyVaultDns": "vault." + suffix},
	}
	if public(r.Host) {
		one = publicCloud()
	}
	if arm.Param(r.URL.Query(), "api-version") >= "2019-05-01" {
		arm.Reply(w, http.StatusOK, []any{one})
		return
	}
	arm.Reply(w, http.StatusOK, map[string]any{
		"galleryEndpoint": one["gallery"], "graphEndpoint": one["graph"], "portalEndpoint": one["portal"],
		"authentication": map[string]any{"loginEndpoint": arm.At(one, "authentication", "loginEndpoint"), "audiences": arm.At(one, "authentication", "audiences")},
	})
}

// publicCloud is what the public cloud says of itself (PublicCloud in github.com/Azure/go-autorest autorest/azure/environments.go, by the names that azclient
// and the SDKs read: github.com/hashicorp/go-azure-sdk, metadata client). Only hosts that lead to the twin are in it that a client would follow.
func publicCloud() map[string]any {
	return map[string]any{
		"name": "AzureCloud", "resourceManager": "https://management.azure.com/", "portal": "https://portal.azure.com", "gallery": "https://gallery.azure.com/",
		"graph": "https://graph.windows.net/", "graphAudience": "https://graph.windows.net/", "batch": "https://batch.core.windows.net/",
		"authentication": map[string]any{
			"loginEndpoint": "https://login.microsoftonline.com/", "audiences": []any{"https://management.core.windows.net/", "https://management.azure.com/"}, "tenant": "common", "identityProvider": "AAD",
		},
		"suffixes": map[string]any{"storage": "core.windows.net", "acrLoginServer": "azurecr.io", "keyVaultDns": "vault.azure.net", "sqlServerHostname": "database.windows.net"},
	}
}

// discovery is the answer of login.microsoftonline.com about an authority: this one is good. The public cloud's has other names, that libraries know and
// look up tokens by.
func (s *Service) discovery(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	network, cache, aliases := host, host, []string{host}
	if known := []string{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"}; slices.Contains(known, host) { // instance_discovery of MSAL
		network, cache, aliases = known[0], known[1], known
	}
	arm.Reply(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": "https://" + network + "/" + s.options.Tenant + "/v2.0/.well-known/openid-configuration", "api-version": "1.1",
		"metadata": []any{map[string]any{"preferred_network": network, "preferred_cache": cache, "aliases": aliases}},
	})
}

// tenantOf is the tenant that a path names: its own by no id, one of its domains, say, or an id, which may be another's.
func (s *Service) tenantOf(name string) string {
	if err := uuid.Validate(name); err != nil {
		return s.options.Tenant
	}
	return name
}

// openID describes the token service of a tenant. Version 1, which issues the tokens, is described where a path names no version; adfs has none.
func (s *Service) openID(w http.ResponseWriter, r *http.Request, parts []string) {
	tenant := parts[0]
	root, by := arm.BaseURL(r)+"/"+tenant, arm.BaseURL(r)+"/"+tenant
	service := root + "/oauth2"
	if tenant != "adfs" {
		tenant = s.tenantOf(tenant)
		root = arm.BaseURL(r) + "/" + tenant
		service, by = root+"/oauth2", issuer(tenant)
		if slices.Contains(parts, "v2.0") {
			service, by = root+"/oauth2/v2.0", root+"/v2.0"
		}
	}
	arm.Reply(w, http.StatusOK, map[string]any{
		"issuer": by, "authorization_endpoint": service + "/authorize", "token_endpoint": service + "/token", "device_authorization_endpoint": service + "/devicecode",
		"jwks_uri": root + "/discovery/v2.0/keys", "response_types_supported": []string{"code", "token"}, "token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"},
		"subject_types_supported": []string{"pairwise"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		"tenant_region_scope": nil, "cloud_instance_name": r.Host,
	})
}

// token gives a bearer token to any client: v1 asks for a resource, v2 for a scope.
func (s *Service) token(w http.ResponseWriter, r *http.Request, tenant string) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		s.lacks(w, "grant_type")
		return
	}
	form, v2 := r.PostForm, strings.Contains(strings.ToLower(r.URL.Path), "v2.0")
	client := clientOf(r)
	switch {
	case client == "":
		s.lacks(w, "client_id")
		return
	case form.Get("grant_type") == "":
		s.lacks(w, "grant_type")
		return
	case v2 && form.Get("scope") == "":
		s.lacks(w, "scope")
		return
	}
	audience := form.Get("resource")
	if audience == "" {
		scope, _, _ := strings.Cut(strings.TrimSpace(form.Get("scope")), " ")
		whole := strings.HasSuffix(scope, "/.default")
		if v2 && !whole && form.Get("grant_type") == "client_credentials" { // "Client credential flows must have a scope value with /.default suffixed" (Entra's error reference, AADSTS1002012)
			s.refuse(w, Failure{Status: http.StatusBadRequest, Code: "invalid_scope", Message: fmt.Sprintf("AADSTS1002012: The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", scope)})
			return
		}
		audience = strings.TrimSuffix(scope, "/.default")
	}
	if len(client) > maxName || len(audience) > maxName {
		s.refuse(w, Failure{Status: http.StatusBadRequest, Code: "invalid_request", Message: "Nothing is called as long as that."})
		return
	}
	raw, err := s.Tokens.Issue(client, audience, s.tenantOf(tenant))
	if err != nil {
		s.refuse(w, Failure{Status: http.StatusInternalServerError, Code: "server_error", Message: err.Error()})
		return
	}
	arm.Reply(w, http.StatusOK, s.tokenBody(raw, audience, v2))
}

// clientOf is who asks for a token, by its form or its header.
func clientOf(r *http.Request) string {
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		return ""
	}
	if client := r.PostForm.Get("client_id"); client != "" {
		return client
	}
	client, _, _ := r.BasicAuth()
	return client
}

// tokenBody is the answer of v2, with numbers, or of v1 and the metadata service, with strings.
func (s *Service) tokenBody(raw, audience string, v2 bool) map[string]any {
	life := int(tokenLife.Seconds())
	if v2 {
		return map[string]any{"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": raw}
	}
	now := s.Tokens.Now().Unix() // clients compare it with their own clock
	return map[string]any{
		"token_type": "Bearer", "expires_in": strconv.Itoa(life), "ext_expires_in": strconv.Itoa(life), "expires_on": fmt.Sprint(now + int64(life)), "not_before": fmt.Sprint(now), "resource": audience, "access_token": raw,
	}
}
