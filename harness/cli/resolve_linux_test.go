package cli

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The workload's program resolves what it is asked for, over what it is told; what is no question is refused.
func TestWorkloadResolves(t *testing.T) {
	for query, want := range map[string]struct {
		code int
		says string
	}{
		"":                         {http.StatusBadRequest, "usage"},
		"?name=localhost":          {http.StatusBadRequest, "usage"},
		"?over=udp":                {http.StatusBadRequest, "usage"},
		"?name=localhost&over=sct": {http.StatusBadRequest, "usage"},
		"?name=localhost&over=tcp": {http.StatusOK, "127.0.0.1"},
	} {
		w := httptest.NewRecorder()
		resolve(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/resolve"+query, nil))
		if w.Code != want.code || !strings.Contains(w.Body.String(), want.says) {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	}
}
