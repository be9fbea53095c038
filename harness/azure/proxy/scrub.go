package proxy

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// What does not go into a recording: whatever would let somebody in. A name is judged by the words in it, a text by what it looks like, and what cannot
// be read is dropped. Rather too much is hidden than too little.

const hidden = "***"

var (
	secretWords  = regexp.MustCompile(`(?i)passw|pwd|secret|key|token|certificate|credential|sas|connectionstring|customdata|userdata|protected(?:settings|parameters)|unattend|assertion|signature|kubeconfig`)
	inHeaders    = regexp.MustCompile(`(?i)authorization|cookie|x-identity-header`)
	inParameters = regexp.MustCompile(`(?i)^(?:sig|code)$`)
	// harmless are names with such a word that a replay needs as they are, or that hold nothing.
	harmless = regexp.MustCompile(`(?i)^(?:\$?skiptoken|token_endpoint|tokenendpoint|token_type|token_endpoint_auth_methods_supported|id_token_signing_alg_values_supported|keyvaultdns|keyname)$`)
	// keyLists are calls whose answers hold secrets under names that do not say so.
	keyLists = regexp.MustCompile(`(?i)/(?:list\w*(?:keys?|secrets?|sas|credentials?|tokens?|connectionstrings?)|regenerate\w*)(?:[/?]|$)|//[^/]*\.vault\.|/vaults/[^/]+/secrets(?:[/?]|$)`)
	// secretTypes are resources of templates whose properties are.
	secretTypes = regexp.MustCompile(`(?i)(?:^|/)secrets$`)

	jwtText   = regexp.MustCompile(`eyJ[\w-]{6,}\.[\w-]{4,}(?:\.[\w-]*)?`)
	pemText   = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]+-----`)
	coded     = regexp.MustCompile(`[A-Za-z0-9+/_-]{24,}`)
	parameter = regexp.MustCompile(`(^|[?&;])([\w$.-]+)=([^&"\s;]+)`)
	formName  = regexp.MustCompile(`^[\w.$-]+$`)
	userInfo  = regexp.MustCompile(`^(https?://)[^/@?]*@`)
)

func secretName(name string) bool {
	return secretWords.MatchString(name) && !harmless.MatchString(name)
}
func secretParameter(name string) bool { return secretName(name) || inParameters.MatchString(name) }

// secretText reports whether a token or a PEM file is in a text: as it is or in base64, compressed ones too, a few layers deep.
func secretText(s string) bool { return holdsSecret([]byte(s), 3) }

// maxUnpacked bounds what is unpacked to look into it.
const maxUnpacked = 4 << 20

func holdsSecret(s []byte, layers int) bool {
	if jwtText.Match(s) || pemText.Match(s) {
		return true
	}
	if layers == 0 {
		return false
	}
	for _, run := range coded.FindAll(s, -1) {
		for shift := range 4 { // the letters before it may look like it
			if inner := unpacked(decoded(run[shift:])); len(inner) > 0 && holdsSecret(inner, layers-1) {
				return true
			}
		}
	}
	return false
}

// decoded is as much of a run of base64, in either alphabet, as is whole.
func decoded(run []byte) []byte {
	run = bytes.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		}
		return r
	}, run)
	n, err := base64.RawStdEncoding.Decode(run, run[:len(run)/4*4])
	if err != nil {
		return nil
	}
	return run[:n]
}

// unpacked is what was compressed, as far as it can be read.
func unpacked(b []byte) []byte {
	if !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return b
	}
	inner, _ := io.ReadAll(io.LimitReader(z, maxUnpacked))
	return inner
}

// scrubbed takes credentials, tokens, keys and signatures of shared access out of an exchange.
func scrubbed(e Exchange) Exchange {
	e.Request, e.Response = scrubHeader(e.Request), scrubHeader(e.Response)
	s := scrub{values: keyLists.MatchString(e.URL), declared: map[string]bool{}, hid: &[]string{}}
	e.URL = scrubURL(e.URL)
	var dropped Dropped
	if e.Dropped != nil {
		dropped = *e.Dropped
	}
	for _, b := range []struct {
		body   *string
		header http.Header
		note   *string
	}{{&e.Sent, e.Request, &dropped.Sent}, {&e.Got, e.Response, &dropped.Got}} {
		clean, err := s.body(*b.body, b.header)
		if err != nil {
			*b.note = described(len(*b.body), b.header) + ": " + err.Error()
		}
		*b.body = clean
	}
	if dropped != (Dropped{}) {
		e.Dropped = &dropped
	}
	return e
}

// described says of a body how long it is and what it says it is.
func described(n int, h http.Header) string {
	typ := h.Get("Content-Type")
	if typ == "" {
		typ = "no type told"
	}
	return fmt.Sprintf("%d bytes, %s", n, typ)
}

func scrubHeader(h http.Header) http.Header {
	h = h.Clone()
	for name, values := range h {
		for i, v := range values {
			if secretName(name) || inHeaders.MatchString(name) || secretText(v) {
				values[i] = hidden
			} else {
				values[i] = scrubURL(v)
			}
		}
	}
	return h
}

// scrubURL hides parameters, here and in texts that have such in them. What is scrubbed already stays as it is: a replay compares by it.
func scrubURL(s string) string {
	s = parameter.ReplaceAllStringFunc(s, func(found string) string {
		m := parameter.FindStringSubmatch(found)
		value, err := url.QueryUnescape(m[3])
		if err != nil || secretParameter(m[2]) || secretText(value) {
			return m[1] + m[2] + "=" + hidden
		}
		return found
	})
	return jwtText.ReplaceAllString(userInfo.ReplaceAllString(s, "${1}"+hidden+"@"), hidden)
}

// scrub is what is known of an exchange when its bodies are read.
type scrub struct {
	values   bool            // whatever is called value is a secret
	declared map[string]bool // names, in lower case, that a template in it declares secure
	hid      *[]string       // what was hidden: errors quote what could not be read
}

// body is a body without secrets; an error says why it could not be read, and nothing of it is left.
func (s scrub) body(body string, h http.Header) (string, error) {
	if body == "" {
		return "", nil
	}
	clean, err := s.json(body)
	if err == nil {
		return clean, nil
	}
	if kind, _, _ := mime.ParseMediaType(h.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		return s.form(body)
	}
	return "", err
}

// json is a JSON text without secrets, whatever it says it is: clients write wrong types.
func (s scrub) json(body string) (string, error) {
	var v any
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", errors.New("not JSON, or not all of it")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("more than one JSON text")
	}
	s.declare(v)
	raw, err := json.Marshal(s.value(v))
	if err != nil {
		return "", fmt.Errorf("not JSON that can be written again: %w", err)
	}
	return string(raw), nil
}

func (s scrub) form(body string) (string, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return "", errors.New("not a form")
	}
	for name, values := range form {
		if !formName.MatchString(name) {
			return "", errors.New("not a form")
		}
		for i, v := range values {
			if values[i] = hidden; !secretParameter(name) {
				values[i] = s.text(v)
			}
		}
	}
	return form.Encode(), nil
}

// text is a string without secrets; one that is JSON itself is read as such.
func (s scrub) text(v string) string {
	if inner := strings.TrimSpace(v); strings.HasPrefix(inner, "{") || strings.HasPrefix(inner, "[") {
		if clean, err := s.json(inner); err == nil {
			return clean
		}
	}
	if secretText(v) {
		return hidden
	}
	return scrubURL(v)
}

// declare finds the names that templates declare secure.
func (s scrub) declare(v any) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			if m, ok := e.(map[string]any); ok && arm.Secure(m) {
				s.declared[strings.ToLower(k)] = true
			}
			s.declare(e)
		}
	case []any:
		for _, e := range x {
			s.declare(e)
		}
	}
}

// value goes through JSON.
func (s scrub) value(v any) any {
	switch x := v.(type) {
	case map[string]any:
		named := arm.Secure(x) || secretName(arm.Text(x, "name")) || secretName(arm.Text(x, "key")) // {"name": "PASSWORD", "value": …}
		for k, e := range x {
			called := strings.EqualFold(k, "value") || strings.EqualFold(k, "defaultValue")
			if secretName(k) || secretTypes.MatchString(arm.Text(x, "type")) && strings.EqualFold(k, "properties") || s.declared[strings.ToLower(k)] || called && (named || s.values) {
				x[k] = s.concealed(e)
			} else if x[k] = s.value(e); strings.EqualFold(k, "message") {
				x[k] = s.unquoted(x[k])
			}
		}
	case []any:
		for i := range x {
			x[i] = s.value(x[i])
		}
	case string:
		return s.text(x)
	}
	return v
}

// concealed hides a value and everything in it, and keeps its form: clients read it again in a replay.
func (s scrub) concealed(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k := range x {
			x[k] = s.concealed(x[k])
		}
	case []any:
		for i := range x {
			x[i] = s.concealed(x[i])
		}
	case json.Number:
		return 0
	case string:
		if x == "" {
			return v
		}
		if len(x) >= shortestQuoted {
			*s.hid = append(*s.hid, x)
		}
		return hidden
	}
	return v
}

// shortestQuoted is how long a secret is at least that is looked for in messages: shorter ones stand in many words.
const shortestQuoted = 4

// unquoted is an error's message without the secrets of its exchange, as they are and as JSON writes them.
func (s scrub) unquoted(message any) any {
	text, isText := message.(string)
	for _, secret := range *s.hid {
		if isText && secret != hidden {
			text = strings.ReplaceAll(text, secret, hidden)
			if raw, err := json.Marshal(secret); err == nil {
				text = strings.ReplaceAll(text, string(raw[1:len(raw)-1]), hidden)
			}
		}
	}
	if !isText {
		return message
	}
	return text
}
