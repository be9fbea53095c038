package template

import (
	"net/url"
	"strconv"
	"strings"
)

// uris are the functions that take a URI apart and put one together (learn.microsoft.com "String functions for Bicep", buildUri and parseUri).
func uris() map[string]function {
	return map[string]function{"builduri": pure(1, 1, func(a []any) (any, error) { return buildURI(a[0]) }), "parseuri": pure(1, 1, func(a []any) (any, error) { return parseURI(a[0]) })}
}

// buildURI needs scheme, host and path; a query begins with its question mark, if there is one, and a port that is null is the scheme's own.
func buildURI(v any) (any, error) {
	of, ok := v.(map[string]any)
	if !ok {
		return nil, wrong("buildUri", "an object with scheme, host and path", v)
	}
	part := map[string]string{}
	for _, name := range []string{"scheme", "host", "path", "query"} {
		x, there := lookup(of, name)
		s, isText := x.(string)
		if x != nil && !isText || (!there || s == "" && name != "path") && name != "query" {
			return nil, wrong("buildUri", "an object with scheme, host and path", v)
		}
		part[name] = s
	}
	u := part["scheme"] + "://" + part["host"]
	if p, _ := lookup(of, "port"); p != nil {
		n, isNumber := whole(p)
		if !isNumber || n < 0 || n > 65535 {
			return nil, wrong("buildUri", "a port of 0 to 65535", p)
		}
		u += ":" + strconv.FormatInt(n, 10)
	}
	if u += "/" + strings.TrimPrefix(part["path"], "/"); part["query"] != "" {
		u += "?" + strings.TrimPrefix(part["query"], "?")
	}
	return u, nil
}

// parseURI gives the parts of an absolute URI; a port that is the scheme's own is null.
func parseURI(v any) (any, error) {
	t, _ := v.(string)
	u, err := url.Parse(t)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, wrong("parseUri", "an absolute URI", v)
	}
	out := map[string]any{"scheme": u.Scheme, "host": u.Hostname(), "port": nil, "path": u.EscapedPath(), "query": ""}
	if own := map[string]string{"http": "80", "https": "443", "ftp": "21"}[u.Scheme]; u.Port() != "" && u.Port() != own {
		n, _ := strconv.ParseInt(u.Port(), 10, 64)
		out["port"] = n
	}
	if out["path"] == "" {
		out["path"] = "/"
	}
	if u.RawQuery != "" {
		out["query"] = "?" + u.RawQuery
	}
	return out, nil
}
