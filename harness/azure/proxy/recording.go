package proxy

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
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Exchange is one line of a recording.
type Exchange struct {
	Time      time.Time   `json:"time"`                // the request went on
	Seconds   float64     `json:"seconds,omitempty"`   // until the head of the answer came
	Principal string      `json:"principal,omitempty"` // whose token it was, which is not in it
	Method    string      `json:"method"`
	URL       string      `json:"url"`
	Request   http.Header `json:"request"`
	Sent      string      `json:"sent,omitempty"` // body
	Status    int         `json:"status"`
	Response  http.Header `json:"response"`
	Got       string      `json:"got,omitempty"` // body
	// Dropped says of bodies that are not in the recording what they were: who cannot read a body cannot take its secrets out.
	Dropped *Dropped `json:"dropped,omitempty"`
}

// Bare reports whether a token is in it: it was recorded as it is.
func (e Exchange) Bare() bool {
	for _, v := range e.Request["Authorization"] {
		if v != hidden {
			return true
		}
	}
	return false
}

// Dropped is how long the bodies were that were left out, and what they said they are.
type Dropped struct {
	Sent string `json:"sent,omitempty"`
	Got  string `json:"got,omitempty"`
}

// Recorder appends exchanges to a file.
type Recorder struct {
	mu    sync.Mutex
	file  *os.File
	scrub bool
	lost  int   // exchanges that could not be written
	why   error // the first time
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
	n, err := r.file.Write(append(raw, '\n'))
	if err == nil {
		return nil
	}
	if n > 0 { // half a line would spoil the next one
		if info, bad := r.file.Stat(); bad == nil {
			_ = r.file.Truncate(info.Size() - int64(n))
		}
	}
	if r.lost++; r.lost == 1 {
		r.why = err
	}
	return fmt.Errorf("recording: %s %s is not in it: %w", e.Method, e.URL, err)
}

// Close closes the file. A recording that lacks something is an error.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.file.Close()
	if r.lost > 0 {
		err = errors.Join(err, fmt.Errorf("recording %s lacks %d exchanges, which went through all the same: %w", r.file.Name(), r.lost, r.why))
	}
	return err
}

// Replay answers from a recording: for each request what was answered, in the order it was; the last answer stands for all further ones.
type Replay struct {
	mu      sync.Mutex
	answers map[string][]Exchange
}

// LoadReplay reads a recording.
func LoadReplay(path string) (*Replay, error) {
	all, err := ReadRecording(path)
	if err != nil {
		return nil, err
	}
	r := &Replay{answers: map[string][]Exchange{}}
	for i, e := range all {
		key, err := replayKey(e.Method, e.URL)
		if err != nil {
			return nil, cluster.Usagef("recording %s: line %d: %w", path, i+1, err)
		}
		r.answers[key] = append(r.answers[key], e)
	}
	return r, nil
}

// ReadRecording reads one, in the order in which the exchanges ended. What is no recording is refused, and it is said what it looks like instead.
func ReadRecording(path string) ([]Exchange, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, cluster.Usagef("recording: %w", err)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, cluster.Usagef("recording %s is empty: it would answer nothing", path)
	}
	var out []Exchange
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 64<<20)
	for n := 1; lines.Scan(); n++ {
		var e Exchange
		err := json.Unmarshal(lines.Bytes(), &e)
		switch {
		case err == nil && e.Method != "" && e.URL != "" && e.Status != 0 && !e.Time.IsZero():
			out = append(out, e)
		case n > 1 && raw[len(raw)-1] != '\n' && bytes.HasSuffix(raw, lines.Bytes()):
			return nil, cluster.Usagef("recording %s: line %d, the last one, is cut off: whoever wrote it was ended. Take it away to use the others: sed -i '$d' %s", path, n, path)
		default:
			return nil, cluster.Usagef("recording %s: line %d is no exchange as drydock arm proxy --record writes it%s", path, n, instead(raw, lines.Bytes(), err))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, cluster.Usagef("recording %s: %w", path, err)
	}
	return out, nil
}

// instead says what a file that is no recording looks like, as far as that can be told from all of it and the line that is none.
func instead(all, line []byte, err error) string {
	var doc, fields map[string]json.RawMessage
	if json.Unmarshal(all, &doc) == nil && doc["log"] != nil {
		return ": it looks like a HAR file, which browsers write"
	}
	if json.Unmarshal(line, &fields) == nil && fields["method"] != nil && fields["path"] != nil {
		return ": it is a call log, which has no headers; drydock arm budget reads it"
	}
	if err != nil {
		return ": " + err.Error()
	}
	return ": time, method, url or status are missing"
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
	target := scrubURL(req.URL.String()) // as it was recorded
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
