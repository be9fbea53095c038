package arm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Reply answers with JSON.
func Reply(w http.ResponseWriter, status int, body any) { ReplyRaw(w, status, Marshal(body)) }

// Marshal is a body as JSON.
func Marshal(body any) []byte {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Errorf("an answer that is no JSON: %w", err)) // the twin's mistake: Mistake answers it
	}
	return raw
}

var asJSON = []string{"application/json; charset=utf-8"} //nolint:gochecknoglobals // a constant list: who adds to a header gets another

// ReplyRaw answers with what is JSON already.
func ReplyRaw(w http.ResponseWriter, status int, raw []byte) {
	h := w.Header()
	h["Content-Type"] = asJSON
	h["Content-Length"] = []string{strconv.Itoa(len(raw))}
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

// Param is a parameter of a query, whatever the case of its name.
func Param(query url.Values, name string) string {
	for k, v := range query {
		if strings.EqualFold(k, name) && len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

// BaseURL is the URL a client used, for links back.
func BaseURL(r *http.Request) string { return "https://" + r.Host }

// Bearer is the token in an Authorization header.
func Bearer(header string) (token string, ok bool) {
	const scheme = "Bearer "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", false
	}
	return header[len(scheme):], true
}
