package azure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// IdentityOptions are what the services say of themselves.
type IdentityOptions struct {
	Region, Tenant, Subscription string
	Clock                        Clock
}

// Identity is the token service, the description of the cloud, and the instance metadata service.
type Identity struct {
	options IdentityOptions
	tokens  *tokens
	state   StateView // the machines that metadata are asked of
}

// NewIdentity makes a key of its own: tokens of another are not good.
func NewIdentity(o IdentityOptions, s StateView) (*Identity, error) {
	t, err := newTokens(o.Tenant)
	if err != nil {
		return nil, err
	}
	return &Identity{options: o, tokens: t, state: s}, nil
}

// public answers what needs no token: metadata of the cloud, and the token service. It reports whether it did.
func (s *Identity) public(w http.ResponseWriter, r *http.Request) bool {
	parts := strings.Split(strings.Trim(strings.ToLower(r.URL.Path), "/"), "/")
	last := parts[len(parts)-1]
	switch {
	case strings.Join(parts, "/") == "metadata/endpoints":
		s.endpoints(w, r)
	case strings.Join(parts, "/") == "common/discovery/instance":
		s.discovery(w, r)
	case last == "openid-configuration":
		s.openID(w, r, parts)
	case last == "token" && len(parts) >= 3 && parts[len(parts)-3] == "oauth2" || last == "token" && len(parts) >= 2 && parts[len(parts)-2] == "oauth2":
		s.token(w, r, parts[0])
	default:
		return false
	}
	return true
}

// endpoints is /metadata/endpoints: a list since 2019-05-01, one object before.
func (s *Identity) endpoints(w http.ResponseWriter, r *http.Request) {
	base, suffix := base(r), r.Host
	one := map[string]any{
		"name": "Drydock", "resourceManager": base, "portal": base, "gallery": base, "graph": base, "graphAudience": base,
		"authentication": map[string]any{"loginEndpoint": base, "audiences": []string{base + "/", "https://management.core.windows.net/", "https://management.azure.com/"}, "tenant": "common", "identityProvider": "AAD"},
		"suffixes":       map[string]any{"storage": "core." + suffix, "acrLoginServer": "azurecr." + suffix, "keyVaultDns": "vault." + suffix},
	}
	if param(r.URL.Query(), "api-version") >= "2019-05-01" {
		reply(w, http.StatusOK, []any{one})
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"galleryEndpoint": base, "graphEndpoint": base, "portalEndpoint": base,
		"authentication": map[string]any{"loginEndpoint": base, "audiences": []string{base + "/", "https://management.azure.com/"}},
	})
}

// discovery is the answer of login.microsoftonline.com about an authority: this one is good.
func (s *Identity) discovery(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	reply(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": base(r) + "/" + s.options.Tenant + "/v2.0/.well-known/openid-configuration", "api-version": "1.1",
		"metadata": []any{map[string]any{"preferred_network": host, "preferred_cache": host, "aliases": []string{host}}},
	})
}

// openID describes the token service of a tenant; adfs has no versions in its paths.
func (s *Identity) openID(w http.ResponseWriter, r *http.Request, parts []string) {
	tenant := parts[0]
	if tenant == "common" || tenant == "organizations" {
		tenant = s.options.Tenant
	}
	root := base(r) + "/" + tenant
	service, issuer := root+"/oauth2/v2.0", root+"/v2.0"
	if tenant == "adfs" {
		service, issuer = root+"/oauth2", root
	}
	reply(w, http.StatusOK, map[string]any{
		"issuer": issuer, "authorization_endpoint": service + "/authorize", "token_endpoint": service + "/token", "device_authorization_endpoint": service + "/devicecode",
		"jwks_uri": root + "/discovery/v2.0/keys", "response_types_supported": []string{"code", "token"}, "token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"},
		"subject_types_supported": []string{"pairwise"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		"tenant_region_scope": nil, "cloud_instance_name": r.Host,
	})
}

// token gives a bearer token to any client: v1 asks for a resource, v2 for a scope.
func (s *Identity) token(w http.ResponseWriter, r *http.Request, tenant string) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		s.tokenError(w, r, "invalid_request", "AADSTS900144: The request body must contain a grant type.")
		return
	}
	form := r.PostForm
	client := form.Get("client_id")
	if client == "" {
		client, _, _ = r.BasicAuth()
	}
	switch {
	case client == "":
		s.tokenError(w, r, "invalid_request", "AADSTS900144: The request body must contain the following parameter: 'client_id'.")
		return
	case form.Get("grant_type") == "":
		s.tokenError(w, r, "invalid_request", "AADSTS900144: The request body must contain the following parameter: 'grant_type'.")
		return
	}
	audience := form.Get("resource")
	if audience == "" {
		scope, _, _ := strings.Cut(strings.TrimSpace(form.Get("scope")), " ")
		audience = strings.TrimSuffix(scope, "/.default")
	}
	raw, err := s.tokens.issue(client, audience, base(r)+"/"+tenant)
	if err != nil {
		s.tokenError(w, r, "server_error", err.Error())
		return
	}
	reply(w, http.StatusOK, s.tokenBody(raw, audience, strings.Contains(strings.ToLower(r.URL.Path), "v2.0")))
}

// tokenBody is the answer of v2, with numbers, or of v1 and the metadata service, with strings.
func (s *Identity) tokenBody(raw, audience string, v2 bool) map[string]any {
	life := int(tokenLife.Seconds())
	if v2 {
		return map[string]any{"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": raw}
	}
	now := s.tokens.now().Unix() // clients compare it with their own clock
	return map[string]any{
		"token_type": "Bearer", "expires_in": strconv.Itoa(life), "ext_expires_in": strconv.Itoa(life), "expires_on": fmt.Sprint(now + int64(life)), "not_before": fmt.Sprint(now), "resource": audience, "access_token": raw,
	}
}

func (s *Identity) tokenError(w http.ResponseWriter, r *http.Request, code, description string) {
	reply(w, http.StatusBadRequest, map[string]any{"error": code, "error_description": description, "timestamp": s.options.Clock.Now().UTC().Format("2006-01-02 15:04:05Z")})
}

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
