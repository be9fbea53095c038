package azure

import (
	"fmt"
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/proxy"
)

// dataNotHeld is of no service's: nobody takes it for a failure that Azure has.
const dataNotHeld = "TwinHoldsNoData"

// data answers for the hosts of the services' data, which a client of the public cloud finds by names of its own: the twin stands for them, so that nothing gets
// to the real ones, and has none of their data. It reports whether it did. A vault challenges first, and clients ask for the token that it wants
// (learn.microsoft.com, "Authentication, requests and responses" of Key Vault).
func (t *Twin) data(r *request) bool {
	host, _, _ := strings.Cut(r.Host, ":")
	if !proxy.Below(t.dataHosts, host) {
		return false
	}
	name, service, _ := strings.Cut(strings.ToLower(host), ".")
	r.Call.Operation, r.Call.Region = r.Method+" "+service, t.options.Region
	about := fmt.Sprintf("The twin stands for %s, and holds no data of '%s': it answers for Resource Manager only.", service, name)
	switch _, token := arm.Bearer(r.Header.Get("Authorization")); {
	case strings.HasSuffix(service, "core.windows.net"), strings.HasSuffix(service, "storage.azure.net"): // XML is what storage errors are ("Status and error codes")
		r.w.Header().Set("Content-Type", "application/xml")
		r.w.Header().Set("x-ms-error-code", dataNotHeld)
		r.w.WriteHeader(http.StatusNotImplemented)
		_, _ = fmt.Fprintf(r.w, `<?xml version="1.0" encoding="utf-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, dataNotHeld, about)
	case strings.HasSuffix(service, "azure.net") && !token:
		e := arm.Errorf(http.StatusUnauthorized, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
		e.Header = map[string]string{"WWW-Authenticate": fmt.Sprintf(`Bearer authorization="https://login.microsoftonline.com/%s", resource="https://%s"`, t.options.Tenant, service)}
		e.Write(r.w)
	default:
		arm.Errorf(http.StatusNotImplemented, dataNotHeld, "%s", about).Write(r.w)
	}
	return true
}
