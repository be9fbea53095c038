package runs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports"
)

// Times of the server.
const (
	lookEvery    = 2 * time.Second  // at the directory, as long as somebody watches
	headerWithin = 10 * time.Second // a client sends its headers
	endWithin    = 3 * time.Second  // requests that are being answered, when the server is to end
)

// Server answers with a list of runs, their pages, and how they went over time. It writes nothing, and a run's files are found by the list, never by a
// path that somebody asks for.
type Server struct {
	mu     sync.Mutex
	shelf  *Shelf
	script string
}

// NewServer serves the runs of a shelf.
func NewServer(s *Shelf) (*Server, error) {
	script, err := files.ReadFile("page/live.js")
	if err != nil {
		return nil, fmt.Errorf("runs: %w", err)
	}
	return &Server{shelf: s, script: string(script)}, nil
}

// Serve answers until the context ends, then lets go of whoever is connected.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: headerWithin, BaseContext: func(net.Listener) context.Context { return ctx }}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve runs: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	if err := server.Shutdown(ending); err != nil { // somebody reads slowly
		return server.Close()
	}
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.answer(s.list))
	mux.HandleFunc("GET /trend", s.answer(s.trend))
	mux.HandleFunc("GET /runs/{path...}", s.answer(s.file))
	mux.HandleFunc("GET /events", s.events)
	return local(mux)
}

// local answers only who has asked for this machine: a page of somewhere else that has its own name lead here would read everything otherwise.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this server answers for the loopback only, by its address or as localhost", http.StatusMisdirectedRequest)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// errNoRun is of a path that no run has.
var errNoRun = errors.New("there is no such run, or it has no such file")

// answer writes what a handler has made, whole, or why it could not.
func (s *Server) answer(made func(h http.Header, r *http.Request) ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := made(w.Header(), r)
		switch {
		case errors.Is(err, errNoRun):
			http.Error(w, err.Error(), http.StatusNotFound)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			_, _ = w.Write(body) // who has gone needs no answer
		}
	}
}

func (s *Server) runs() ([]*Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shelf.List()
}

func (s *Server) list(h http.Header, _ *http.Request) ([]byte, error) {
	all, err := s.runs()
	if err != nil {
		return nil, err
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; connect-src 'self'; script-src "+reports.ScriptHash(s.script))
	var b bytes.Buffer
	err = page(&b, "list.html.tmpl", nil, map[string]any{"Runs": rows(all), "Root": s.shelf.root, "Script": template.JS(s.script)}) //nolint:gosec // embedded
	return b.Bytes(), err
}

func (s *Server) trend(h http.Header, _ *http.Request) ([]byte, error) {
	all, err := s.runs()
	if err != nil {
		return nil, err
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	var b bytes.Buffer
	err = TrendOf(all).HTML(&b, "/runs/")
	return b.Bytes(), err
}

// file is one of a run's reports. Of a run without a page it is drawn of what there is so far.
func (s *Server) file(h http.Header, r *http.Request) ([]byte, error) {
	all, err := s.runs()
	if err != nil {
		return nil, err
	}
	asked := r.PathValue("path")
	at := slices.IndexFunc(all, func(run *Run) bool {
		return slices.ContainsFunc(reports.Names(), func(name string) bool { return path.Join(run.Name, name) == asked })
	})
	if at < 0 {
		return nil, errNoRun
	}
	run, name := all[at], path.Base(asked)
	h.Set("Content-Type", map[string]string{".html": "text/html; charset=utf-8", ".json": "application/json", ".xml": "application/xml", ".svg": "image/svg+xml"}[path.Ext(name)])
	if path.Ext(name) == ".md" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	// Somebody may have sent us the run: its page has an origin of its own, and reaches neither the other runs nor the network.
	h.Set("Content-Security-Policy", "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'unsafe-inline'")
	if name == reports.PageFile && !run.Page && run.Result != nil {
		var b bytes.Buffer
		err := reports.HTML(&b, run.Result, nil)
		return b.Bytes(), err
	}
	root, err := os.OpenRoot(run.Dir)
	if err != nil {
		return nil, errNoRun
	}
	defer func() { _ = root.Close() }()
	if st, err := root.Lstat(name); err != nil || !st.Mode().IsRegular() {
		return nil, errNoRun
	}
	return root.ReadFile(name)
}

// events sends the rows of the list whenever they change, until the client goes or the server ends.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	control, last := http.NewResponseController(w), ""
	for {
		now, err := s.rows()
		switch {
		case err != nil: // the directory is gone, say: whoever watches is to know, by an answer that ends
			return
		case now != last:
			_, err = fmt.Fprintf(w, "event: rows\ndata: %s\n\n", now)
		default:
			_, err = fmt.Fprint(w, ": as before\n\n") // tells the client that somebody is here, and us that it is
		}
		if err = errors.Join(err, control.Flush()); err != nil {
			return
		}
		last = now
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// rows are those of the list, as JSON of their markup.
func (s *Server) rows() (string, error) {
	all, err := s.runs()
	if err != nil {
		return "", err
	}
	t, err := template.ParseFS(files, "page/list.html.tmpl")
	if err != nil {
		return "", fmt.Errorf("runs: %w", err)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "rows", rows(all)); err != nil {
		return "", fmt.Errorf("runs: %w", err)
	}
	raw, err := json.Marshal(b.String())
	return string(raw), err
}

// row is a run in the list.
type row struct{ *Run }

func rows(all []*Run) []row {
	out := make([]row, 0, len(all))
	for _, r := range all {
		out = append(out, row{r})
	}
	return out
}

// Link is where its page is.
func (r row) Link() string { return "/runs/" + r.href() }

// Took is how long it took, or has taken.
func (r row) Took() string {
	switch {
	case r.Result == nil:
		return ""
	case r.Owner != "":
		return time.Since(r.Result.Started).Round(time.Second).String()
	}
	return time.Duration(r.Result.DurationSeconds * float64(time.Second)).Round(time.Second).String()
}

// Spare is the least that could still have been lost.
func (r row) Spare() string {
	if r.Result == nil || r.Result.Tolerance.Observations == 0 {
		return "–"
	}
	return fmt.Sprint(r.Result.Tolerance.Minimum)
}

// Says is why it has its verdict, or what goes on: the steps and faults of the moment, and the last known state.
func (r row) Says() []string {
	switch {
	case r.Result == nil:
		return []string{r.Why}
	case r.Owner == "":
		return r.Result.Reasons[:min(1, len(r.Result.Reasons))]
	}
	out := []string{}
	for _, s := range r.Result.Steps {
		if s.Status == "unfinished" {
			out = append(out, fmt.Sprintf("step %s %s, for %s", s.ID, s.Name, time.Since(s.Started).Round(time.Second)))
		}
	}
	for _, f := range r.Result.Receipts {
		if !f.Armed.IsZero() && f.ClearedAt.IsZero() && f.State != plan.Confirmed {
			out = append(out, strings.TrimSuffix(fmt.Sprintf("fault %s %s on %s", f.ID, f.Fault, strings.Join(f.Machines, ", ")), " on "))
		}
	}
	return append(out, r.Result.Gaps...)
}
