package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

// recording is a transport that records what goes through it. Bodies go through as they come, so that a watch is no end to wait for, and a recording that
// fails fails nothing else: what a service has done is answered.
type recording struct{ proxy *Relay }

// maxRecorded is how much of a body is recorded; more goes through all the same.
const maxRecorded = 8 << 20

// RoundTrip passes the request on.
func (t recording) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.proxy.options.Record == nil {
		return t.proxy.real.RoundTrip(req)
	}
	sent, got := &copied{whole: true}, &copied{}
	e := Exchange{Time: t.proxy.options.Now(), Method: req.Method, URL: req.URL.String(), Request: req.Header.Clone()}
	if t.proxy.options.Principal != nil {
		e.Principal = t.proxy.options.Principal(req.Header)
	}
	if req.Body != nil && req.Body != http.NoBody {
		sent.body, sent.whole, sent.length = req.Body, false, req.ContentLength
		req.Body = sent
	}
	resp, err := t.proxy.real.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	e.Seconds = t.proxy.options.Now().Sub(e.Time).Seconds()
	e.Status, e.Response = resp.StatusCode, resp.Header.Clone()
	got.body, got.length = resp.Body, resp.ContentLength
	got.ended = func() {
		var dropped Dropped
		e.Sent, dropped.Sent = sent.text(e.Request)
		e.Got, dropped.Got = got.text(e.Response)
		if dropped != (Dropped{}) {
			e.Dropped = &dropped
		}
		if err := t.proxy.options.Record.write(e); err != nil {
			if t.proxy.options.Lost != nil {
				t.proxy.options.Lost(err)
			}
		}
	}
	if resp.StatusCode == http.StatusSwitchingProtocols { // what follows is no body
		got.ended()
		return resp, nil
	}
	resp.Body = got
	return resp, nil
}

// copied is a body that is copied while somebody reads it.
type copied struct {
	body   io.ReadCloser
	length int64  // as told; -1: not told
	ended  func() // called once, when there is no more of it
	once   sync.Once

	mu    sync.Mutex
	kept  bytes.Buffer
	size  int64
	whole bool
}

// Read reads on.
func (c *copied) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	c.mu.Lock()
	c.size += int64(n)
	c.kept.Write(p[:min(n, max(0, maxRecorded-c.kept.Len()))])
	c.whole = c.whole || errors.Is(err, io.EOF) || c.size == c.length
	c.mu.Unlock()
	if err != nil {
		c.end()
	}
	return n, err
}

// Close ends it.
func (c *copied) Close() error {
	defer c.end()
	return c.body.Close()
}

func (c *copied) end() {
	if c.ended != nil {
		c.once.Do(c.ended)
	}
}

// text is the body, or what is said in its place when not all of it is there.
func (c *copied) text(h http.Header) (body, dropped string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.size > maxRecorded:
		return "", described(int(c.size), h) + ": too long"
	case !c.whole:
		return "", described(int(c.size), h) + ": ended early"
	}
	return c.kept.String(), ""
}
