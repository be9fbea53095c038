package azure

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/cluster"
)

func TestControlIsForThoseWhoReadTheReadyFile(t *testing.T) {
	c := newClient(t)
	file := filepath.Join(t.TempDir(), "ready.json")
	s := serving(t, func(ctx context.Context) (*Server, error) {
		return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0", ReadyFile: file})
	})
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the ready file: %v, %v", info.Mode(), err)
	}
	ready, err := ReadReady(file)
	if err != nil || ready != s.Ready {
		t.Fatalf("%+v, %v", ready, err)
	}
	if err := ready.AskControl(t.Context(), http.MethodGet, "summary", nil, nil); err != nil {
		t.Errorf("with the token: %v", err)
	}
	for name, c := range map[string]struct {
		header map[string]string
		host   string
		want   int
	}{
		"no token":              {nil, "", http.StatusUnauthorized},
		"another token":         {map[string]string{"Authorization": "Bearer x"}, "", http.StatusUnauthorized},
		"a name of a page":      {map[string]string{"Authorization": "Bearer " + ready.ControlToken}, "rebound.example", http.StatusForbidden},
		"from a page":           {map[string]string{"Authorization": "Bearer " + ready.ControlToken, "Origin": "https://page.example"}, "", http.StatusForbidden},
		"from a page, no token": {map[string]string{"Origin": "https://page.example", "Content-Type": "text/plain"}, "", http.StatusForbidden},
		"by the name localhost": {map[string]string{"Authorization": "Bearer " + ready.ControlToken}, strings.Replace(strings.TrimPrefix(ready.Control, "http://"), "127.0.0.1", "localhost", 1), http.StatusOK},
	} {
		for _, path := range []string{"/_twin/faults", "/metrics"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ready.Control+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = c.host
			for k, v := range c.header {
				req.Header.Set(k, v)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("%s, %s: %d instead of %d", name, path, resp.StatusCode, c.want)
			}
		}
	}
}

// A page may send a form, or text, to any address without asking anybody: control takes neither.
func TestControlTakesJSONOnly(t *testing.T) {
	c := newClient(t)
	s := serving(t, func(ctx context.Context) (*Server, error) { return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0"}) })
	for kind, want := range map[string]int{
		"application/json": http.StatusOK, "application/json; charset=utf-8": http.StatusOK,
		"": http.StatusUnsupportedMediaType, "text/plain": http.StatusUnsupportedMediaType, "application/x-www-form-urlencoded": http.StatusUnsupportedMediaType, "text/plain; a=application/json": http.StatusUnsupportedMediaType,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Ready.Control+"/_twin/faults", strings.NewReader(`{"kind":"reset","operations":["GET Microsoft.Compute/none"]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.Ready.ControlToken)
		if kind != "" {
			req.Header.Set("Content-Type", kind)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: %d instead of %d", kind, resp.StatusCode, want)
		}
	}
}

func TestCallsAreSelected(t *testing.T) {
	c := newClient(t)
	s := serving(t, func(ctx context.Context) (*Server, error) { return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0"}) })
	c.do(http.MethodGet, "resourceGroups/none", "")
	c.as("other").do(http.MethodGet, "resourceGroups", "")
	f, err := c.twin.Arm(Fault{Kind: FaultError})
	if err != nil {
		t.Fatal(err)
	}
	c.do(http.MethodGet, "resourceGroups", "")
	for query, want := range map[string]int{
		"": 3, "since=1": 2, "since=9": 0, "operation=LIST+*": 2, "operation=*+resourceGroups": 3, "principal=other": 1, "outcome=4xx": 1, "outcome=ok&principal=other": 1, "fault=" + f.ID: 1, "fault=x": 0,
	} {
		var told struct {
			Calls []arm.Call
			Next  int
		}
		if err := s.Ready.AskControl(t.Context(), http.MethodGet, "calls?"+query, nil, &told); err != nil || len(told.Calls) != want || told.Next != 3 {
			t.Errorf("%s: %d calls instead of %d, next %d, %v", query, len(told.Calls), want, told.Next, err)
		}
	}
	var usage *cluster.UsageError
	for _, query := range []string{"outcome=fine", "operation=GET", "since=x"} {
		if err := s.Ready.AskControl(t.Context(), http.MethodGet, "calls?"+query, nil, nil); !errors.As(err, &usage) {
			t.Errorf("%s: %v", query, err)
		}
	}
}
