package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
)

// Download gives what is at a URL: what deployments link to.
type Download func(u *url.URL) ([]byte, error)

func noDownload(*url.URL) ([]byte, error) { return nil, errors.New("nothing is downloaded") }

// link is what a deployment links to. Its query may hold a key, and is not told.
type link struct {
	url      *url.URL
	version  string
	relative string
}

// told is a link as deployments tell it.
func (l *link) told() map[string]any {
	out := map[string]any{"uri": l.plain()}
	if l.version != "" {
		out["contentVersion"] = l.version
	}
	if l.relative != "" {
		out["relativePath"] = l.relative
	}
	return out
}

func (l *link) plain() string {
	u := *l.url
	u.RawQuery, u.User = "", nil
	return u.String()
}

// resolve downloads what a deployment links to, while others write: what was looked at before may be otherwise after
// (learn.microsoft.com "Using linked and nested templates when deploying Azure resources").
func (ds *deployments) resolve(tx *resource.Tx, a *asked) *arm.Error {
	p, _ := arm.At(a.body, "properties").(map[string]any)
	for _, x := range []struct{ link, is string }{{"templateLink", "template"}, {"parametersLink", "parameters"}} {
		written, has := arm.Field(p, x.link).(map[string]any)
		if !has {
			continue
		}
		if arm.Field(p, x.is) != nil { // that it is refused is in the REST API's reference; the words are the twin's
			return invalidContent(a.at.At("properties", x.link), "properties."+x.link, "The properties '%s' and '%s' cannot both be given.", x.is, x.link)
		}
		l, bad := a.linked(written)
		if bad != nil {
			return bad
		}
		doc, source, bad := ds.content(tx, l)
		if bad != nil {
			return bad
		}
		maps.DeleteFunc(p, func(k string, _ any) bool { return strings.EqualFold(k, x.is) })
		if p[x.is] = doc; x.is == "template" {
			a.template, a.link, a.base = source, l.told(), l.plain()
		} else {
			a.parametersLink = l.told()
		}
	}
	return nil
}

// linked reads a link: a URL, or a path from where the template around it was linked to. A template spec is a resource that the twin has not.
func (a *asked) linked(written map[string]any) (*link, *arm.Error) {
	l := &link{version: arm.Text(written, "contentVersion"), relative: arm.Text(written, "relativePath")}
	text := arm.Text(written, "uri")
	if id := arm.Text(written, "id"); id != "" {
		if spec, ok := arm.ParseID(id); ok && len(spec.Names) > 0 {
			return nil, arm.NotFound(spec)
		}
		return nil, undownloadable(id)
	}
	if text == "" {
		if text = a.base; text == "" || l.relative == "" { // of a path without anything it could be from, the words are the twin's
			return nil, invalidTemplate(a.at.At("properties", "templateLink").Place(), "The template link has neither a 'uri' nor a 'relativePath' of a deployment within one that is linked. Please see https://aka.ms/arm-deploy for usage details.")
		}
	}
	u, err := url.Parse(text)
	if err == nil && l.relative != "" {
		u, err = u.Parse(l.relative)
	}
	if err != nil || u.Host == "" {
		return nil, undownloadable(text)
	}
	if q := strings.TrimPrefix(arm.Text(written, "queryString"), "?"); q != "" {
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+q, "&")
	}
	l.url = u
	return l, nil
}

// undownloadable is the answer about what cannot be had (OTRF/Microsoft-Sentinel2Go#31).
func undownloadable(at string) *arm.Error {
	return arm.Gatewayf(http.StatusBadRequest, "InvalidContentLink", "Unable to download deployment content from '%s'. The tracking Id is '%s'. Please see https://aka.ms/arm-deploy-resources for usage details.", at, arm.Derived("tracking", at))
}

// content downloads a document.
func (ds *deployments) content(tx *resource.Tx, l *link) (map[string]any, template.Source, *arm.Error) {
	var raw []byte
	err := tx.Outside(func() (err error) { raw, err = ds.download(l.url); return err })
	if err != nil {
		return nil, template.Source{}, undownloadable(l.plain())
	}
	text, place := arm.LenientPlaces(raw)
	var doc map[string]any
	if json.Unmarshal(text, &doc) != nil || doc == nil {
		start := strings.TrimSpace(string(raw))
		return nil, template.Source{}, violation(template.Place{}, "Deployment template parse failed: 'Unexpected character encountered while parsing value: %s. Path '', line 0, position 0.'.", start[:min(1, len(start))])
	}
	if is := arm.Text(doc, "contentVersion"); l.version != "" && l.version != is { // that it must be the same is documented; the words are the twin's
		return nil, template.Source{}, invalidTemplate(template.Place{}, "The contentVersion '%s' of the link does not match the contentVersion '%s' of what is at '%s'. Please see https://aka.ms/arm-deploy for usage details.", l.version, is, l.plain())
	}
	return doc, template.ReadSource(text, raw, place), nil
}

// secrets looks for parameters that are in a key vault: the twin has vaults and their secrets' names, and keeps no value (Azure/bicep#1571 and #18455 have the
// words, but for those of a secret that is there).
func secrets(v resource.View, given map[string]any) *arm.Error {
	var found []arm.Error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		holder, _ := given[name].(map[string]any)
		r, is := arm.Field(holder, "reference").(map[string]any)
		if !is {
			continue
		}
		vault, secret := arm.Text(r, "keyVault", "id"), arm.Text(r, "secretName")
		status, says := "NotFound", "A secret with (name/id) "+secret+" was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
		if v.Exists(strings.TrimSuffix(vault, "/") + "/secrets/" + secret) {
			status, says = "NotImplemented", "The twin keeps no values of secrets: give the parameter's value."
		}
		if id, ok := arm.ParseID(vault); !ok || v.Body(id) == nil {
			found = append(found, *arm.Gatewayf(http.StatusNotFound, "KeyVaultParameterReferenceNotFound", "The specified KeyVault '%s' could not be found. Please see https://aka.ms/arm-keyvault for usage details.", vault))
			continue
		}
		found = append(found, *arm.Gatewayf(http.StatusNotFound, "KeyVaultParameterReferenceSecretRetrieveFailed",
			"The secret of KeyVault parameter '%s' cannot be retrieved. Http status code: '%s'. Error message: '%s'. Please see https://aka.ms/arm-keyvault for usage details.", name, status, says))
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		return &found[0]
	}
	words := strings.TrimSuffix(strings.Repeat("NotFound,", len(found)), ",")
	bad := arm.Gatewayf(http.StatusNotFound, "MultipleErrorsOccurred", "%s", fmt.Sprintf("Multiple error occurred: %s. Please see details.", words))
	bad.Details = found
	return bad
}

// Above is the answer about deployments of the tenant and of management groups: nobody may do anything there. nil: it is not about any.
func Above(method, path, principal string) *arm.Error {
	lower := strings.ToLower(path)
	rest, ok := strings.CutPrefix(lower, "/providers/")
	if under, group := strings.CutPrefix(rest, "microsoft.management/managementgroups/"); ok && group {
		_, rest, ok = strings.Cut(under, "/providers/")
	}
	if !ok || !strings.HasPrefix(rest+"/", "microsoft.resources/deployments/") {
		return nil
	}
	action := map[string]string{http.MethodGet: "read", http.MethodHead: "read", http.MethodDelete: "delete", http.MethodPut: "write"}[method]
	if parts := strings.Split(strings.Trim(rest, "/"), "/"); action == "" {
		action = parts[len(parts)-1] + "/action"
	}
	return forbidden(principal, "Microsoft.Resources/deployments/"+action, path)
}

// forbidden is the answer to who has no right to something (learn.microsoft.com "Troubleshoot Azure RBAC").
func forbidden(principal, action, scope string) *arm.Error {
	return arm.Gatewayf(http.StatusForbidden, "AuthorizationFailed", "The client '%s' with object id '%s' does not have authorization to perform action '%s' over scope '%s' or the scope is invalid. If access was recently granted, please refresh your credentials.",
		principal, principal, action, scope)
}
