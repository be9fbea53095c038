package azure

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Exchange is one line of a recording.
type Exchange struct {
	Time     time.Time   `json:"time"`
	Method   string      `json:"method"`
	URL      string      `json:"url"`
	Request  http.Header `json:"request"`
	Sent     string      `json:"sent,omitempty"` // body
	Status   int         `json:"status"`
	Response http.Header `json:"response"`
	Got      string      `json:"got,omitempty"` // body
}

// Recorder appends exchanges to a file.
type Recorder struct {
	mu    sync.Mutex
	file  *os.File
	scrub bool
}

// NewRecorder makes the file, or goes on with it. Secrets are taken out unless they are to be kept.
func NewRecorder(path string, keepSecrets bool) (*Recorder, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, cluster.Usagef("recording: %w", err)
	}
	return &Recorder{file: f, scrub: !keepSecrets}, nil
}

func (r *Recorder) write(e Exchange) error {
	if r.scrub {
		e = scrubbed(e)
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.file.Write(append(raw, '\n')); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return nil
}

// Close closes the file.
func (r *Recorder) Close() error { return r.file.Close() }

const hidden = "***"

// secretNames are the fields, in forms and in JSON at any depth, whose values do not go into a recording.
const secretNames = `client_secret|client_assertion|assertion|password|refresh_token|access_token|id_token|clientSecret|adminPassword|secret|secrets|protectedSettings|customData|sasUrl|accountKey|key1|key2|primaryKey|secondaryKey|connectionString`

var (
	secretHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Ms-Authorization-Auxiliary", "X-Identity-Header"} //nolint:gochecknoglobals // a constant list
	signature     = regexp.MustCompile(`(?i)([?&](?:sig|signature|code|access_token)=)[^&"\s]+`)
	formSecret    = regexp.MustCompile(`(?i)((?:^|&)(?:` + secretNames + `)=)[^&]*`)
	secretField   = regexp.MustCompile(`(?i)^(?:` + secretNames + `)$`)
	keyList       = regexp.MustCompile(`(?i)/(?:listKeys|listSecrets|listAccountSas|listServiceSas|listClusterAdminCredential|listClusterUserCredential|regenerateKey)\b`)
)

// scrubbed takes out what would let somebody in: credentials, tokens, keys and signatures of shared access.
func scrubbed(e Exchange) Exchange {
	e.Request, e.Response = e.Request.Clone(), e.Response.Clone()
	for _, h := range []http.Header{e.Request, e.Response} {
		for _, name := range secretHeaders {
			if len(h.Values(name)) > 0 {
				h.Set(name, hidden)
			}
		}
		for name, values := range h {
			for i := range values {
				h[name][i] = signature.ReplaceAllString(values[i], "${1}"+hidden)
			}
		}
	}
	keys := keyList.MatchString(e.URL)
	e.URL = signature.ReplaceAllString(e.URL, "${1}"+hidden)
	e.Sent, e.Got = scrubBody(e.Sent, false), scrubBody(e.Got, keys)
	return e
}

func scrubBody(body string, values bool) string {
	var v any
	if json.Unmarshal([]byte(body), &v) != nil {
		return signature.ReplaceAllString(formSecret.ReplaceAllString(body, "${1}"+hidden), "${1}"+hidden)
	}
	raw, err := json.Marshal(scrubValue(v, values))
	if err != nil {
		return hidden
	}
	return string(raw)
}

// scrubValue goes through JSON; values: whatever is called value is a key.
func scrubValue(v any, values bool) any {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			if s, isText := e.(string); isText && (secretField.MatchString(k) || values && strings.EqualFold(k, "value")) && s != "" {
				x[k] = hidden
				continue
			}
			if _, isObject := e.(map[string]any); isObject && secretField.MatchString(k) {
				x[k] = hidden
				continue
			}
			x[k] = scrubValue(e, values)
		}
	case []any:
		for i := range x {
			x[i] = scrubValue(x[i], values)
		}
	case string:
		return signature.ReplaceAllString(x, "${1}"+hidden)
	}
	return v
}

// Replay answers from a recording: for each request what was answered, in the order it was; the last answer stands for all further ones.
type Replay struct {
	mu      sync.Mutex
	answers map[string][]Exchange
}

// LoadReplay reads a recording.
func LoadReplay(path string) (*Replay, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, cluster.Usagef("recording: %w", err)
	}
	r := &Replay{answers: map[string][]Exchange{}}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 64<<20)
	n := 0
	for lines.Scan() {
		n++
		var e Exchange
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Method == "" || e.Status == 0 {
			return nil, cluster.Usagef("recording %s: line %d is no exchange: %w", path, n, err)
		}
		key, err := replayKey(e.Method, e.URL)
		if err != nil {
			return nil, cluster.Usagef("recording %s: line %d: %w", path, n, err)
		}
		r.answers[key] = append(r.answers[key], e)
	}
	if err := lines.Err(); err != nil {
		return nil, cluster.Usagef("recording %s: %w", path, err)
	}
	if n == 0 {
		return nil, cluster.Usagef("recording %s is empty: it would answer nothing", path)
	}
	return r, nil
}

// replayKey is method, host, path and parameters in order: what makes two requests the same one.
func replayKey(method, raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("recording: %w", err)
	}
	return method + " " + strings.ToLower(u.Host+u.Path) + "?" + u.Query().Encode(), nil
}

func (r *Replay) next(method, target string) (Exchange, bool) {
	key, err := replayKey(method, target)
	if err != nil {
		return Exchange{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.answers[key]
	if len(list) == 0 {
		return Exchange{}, false
	}
	if len(list) > 1 {
		r.answers[key] = list[1:]
	}
	return list[0], true
}

// RoundTrip answers a request: a recording takes the place of the network.
func (r *Replay) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	target := signature.ReplaceAllString(req.URL.String(), "${1}"+hidden)
	e, ok := r.next(req.Method, target)
	if !ok {
		return nil, fmt.Errorf("%s %s: %w", req.Method, target, errNotRecorded)
	}
	h := e.Response.Clone()
	h.Del("Content-Length")
	return &http.Response{
		Status: http.StatusText(e.Status), StatusCode: e.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h,
		Body: io.NopCloser(strings.NewReader(e.Got)), ContentLength: int64(len(e.Got)), Request: req,
	}, nil
}

var errNotRecorded = errors.New("not in the recording")
