package azure

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"os"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/cluster"
)

// controlled is a control listener that answers.
type controlled struct{ url, token string }

// startControl opens the control listener, on the loopback and with a token that only the ready file tells.
func (s *Server) startControl(ctx context.Context, t *Twin) (controlled, error) {
	l, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return controlled{}, err
	}
	token, address := rand.Text(), l.Addr().String()
	s.start(l, &http.Server{Handler: onlyHolders(address, token, t.control())})
	return controlled{"http://" + address, token}, nil
}

// onlyHolders lets those pass that have the token. Names that a page in a browser could use for the loopback (Host), and requests that a page has a
// browser send (Origin), are refused whatever they have.
func onlyHolders(address, token string, next http.Handler) http.Handler {
	_, port, _ := net.SplitHostPort(address)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := arm.Bearer(r.Header.Get("Authorization"))
		switch origin := r.Header.Get("Origin"); {
		case r.Host != address && r.Host != "localhost:"+port:
			arm.Reply(w, http.StatusForbidden, map[string]any{"error": fmt.Sprintf("control is asked as %s, and not as %q", address, r.Host)})
		case origin != "" && origin != "http://"+r.Host:
			arm.Reply(w, http.StatusForbidden, map[string]any{"error": fmt.Sprintf("control takes nothing from pages of %q", origin)})
		case subtle.ConstantTimeCompare([]byte(sent), []byte(token)) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			arm.Reply(w, http.StatusUnauthorized, map[string]any{"error": "control needs the header Authorization: Bearer TOKEN; the token is controlToken in the ready file"})
		case (r.Method == http.MethodPost || r.Method == http.MethodPut) && !isJSON(r.Header.Get("Content-Type")):
			arm.Reply(w, http.StatusUnsupportedMediaType, map[string]any{"error": fmt.Sprintf("control takes Content-Type: application/json, and not %q", r.Header.Get("Content-Type"))})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isJSON reports whether a body says it is: a form, which any page may send without asking, does not.
func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/json"
}

// ReadReady reads a twin's ready file.
func ReadReady(file string) (r Ready, err error) {
	raw, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return r, cluster.Usagef("the ready file holds the twin's token and is for its owner only: %w", err)
	case err != nil:
		return r, cluster.Usagef("no twin is ready there: %w", err)
	}
	if err := json.Unmarshal(raw, &r); err != nil || r.Control == "" {
		return r, cluster.Usagef("%s is not a twin's ready file", file)
	}
	return r, nil
}

// AskControl sends a request to the control listener: path is below /_twin/, body is sent as JSON unless it is nil, and into, unless it is nil, gets the
// answer. Any answer but 200 is an error with what was said, a UsageError where the twin finds a mistake in what it was asked.
func (r Ready) AskControl(ctx context.Context, method, path string, body, into any) error {
	what := method + " " + r.Control + "/_twin/" + path
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.Control+"/_twin/"+path, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	req.Header.Set("Authorization", "Bearer "+r.ControlToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return cluster.Usagef("the twin does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case resp.StatusCode == http.StatusBadRequest:
		var said struct{ Error string }
		_ = json.Unmarshal(answer, &said)
		return cluster.Usagef("the twin: %s", cmp.Or(said.Error, strings.TrimSpace(string(answer))))
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s: %s", what, resp.Status, strings.TrimSpace(string(answer)))
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
