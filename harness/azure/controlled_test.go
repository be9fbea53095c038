package azure

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestControlIsForThoseWhoReadTheReadyFile(t *testing.T) {
	c := newClient(t)
	file := filepath.Join(t.TempDir(), "ready.json")
	if err := os.WriteFile(file+".new", nil, 0o644); err != nil { // what another twin has left must not lend its mode
		t.Fatal(err)
	}
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
