package runs

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports"
)

// ask asks a server without going through a client that would tidy the path up.
func ask(t *testing.T, s *Server, method, target, host string) (int, string, http.Header) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	r.Host = host
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

func server(t *testing.T, s *Shelf) *Server {
	t.Helper()
	out, err := NewServer(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestThePageListsRuns with their states and links; what a run has said is text.
func TestThePageListsRuns(t *testing.T) {
	_, s := shelf(t)
	srv := server(t, s)
	code, page, header := ask(t, srv, "GET", "/", "127.0.0.1:1")
	if code != http.StatusOK || !strings.Contains(header.Get("Content-Security-Policy"), "script-src 'sha256-") {
		t.Fatalf("%d, %v", code, header)
	}
	at := -1
	for _, want := range []string{`<td class="state running">running`, `href="/runs/live/report.html"`, "step 4.2 hold &lt;i&gt;, for ", "fault 4 etcdMemberCrash on etcd-1", "last seen at 12:00", `href="/runs/cut/report.html"`, `href="/runs/d/20260102-060000.000/report.html"`, `href="/runs/a/report.html"`, `<td class="state unreadable">unreadable`, "of long ago"} {
		i := strings.Index(page, want)
		if i <= at {
			t.Errorf("the list does not say %q where it should", want)
		}
		at = max(at, i)
	}
	for path, want := range map[string]string{"/runs/a/report.html": "GO", "/runs/a/junit.xml": "<testsuite", "/runs/a/report.json": plan.Schema, "/runs/a/report.md": "# GO", "/runs/a/timeline.svg": "<svg", "/trend": "etcdHealthy", "/runs/live/report.html": "hold", "/runs/cut/report.html": "INCONCLUSIVE"} {
		if code, body, header := ask(t, srv, "GET", path, "localhost:1"); code != http.StatusOK || !strings.Contains(body, want) || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Content-Type") == "" {
			t.Errorf("%s: %d, %.80q, %v", path, code, body, header)
		}
	}
}

// TestNothingElseIsServed: no path leads out of the runs or to another file of theirs, no link is followed, nothing is written, and nobody is answered who has
// come by another name.
func TestNothingElseIsServed(t *testing.T) {
	root, s := shelf(t)
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, filepath.Join(outside, reports.PageFile), "secret")
	write(t, filepath.Join(outside, reports.ResultFile), "secret")
	if err := os.Remove(filepath.Join(root, "b", reports.PageFile)); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{filepath.Join(root, "b", reports.PageFile): filepath.Join(outside, reports.PageFile), filepath.Join(root, "linked"): outside, filepath.Join(root, "c", "report.md.x"): outside} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	before := state(t, root)
	srv := server(t, s)
	for _, path := range []string{
		"/runs/../../etc/passwd", "/runs/%2e%2e/%2e%2e/etc/passwd", "/runs/a/..%2f..%2f..%2fetc/passwd", "/runs/a/../b/journal.jsonl", "/runs/live/journal.jsonl", "/runs/live/.lock", "/runs/a/evidence/journal.jsonl",
		"/runs//etc/passwd", "/runs/a/", "/runs/a", "/runs/", "/runs/linked/report.html", "/runs/linked/report.json", "/runs/a/report.html/..", "/runs/a/report.html%00", "/runs/nobody/report.html", "/etc/passwd", "/report.html", "/runs/cut/junit.xml",
	} {
		if code, body, _ := ask(t, srv, "GET", path, "127.0.0.1:1"); code < 300 || code == http.StatusInternalServerError || strings.Contains(body, "root:") || strings.Contains(body, "secret") {
			t.Errorf("%s: %d, %.80q", path, code, body)
		}
	}
	if code, body, _ := ask(t, srv, "GET", "/runs/b/report.html", "127.0.0.1:1"); code != http.StatusOK || strings.Contains(body, "secret") || !strings.Contains(body, "NO-GO") {
		t.Errorf("a link in the place of a page: %d, %.80q", code, body) // it is drawn of the report instead
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		if code, _, _ := ask(t, srv, method, "/runs/a/report.html", "127.0.0.1:1"); code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, code)
		}
	}
	for _, host := range []string{"evil.example", "evil.example:80", "192.0.2.1:1", "127.0.0.1.evil.example:1", ""} {
		if code, body, _ := ask(t, srv, "GET", "/", host); code != http.StatusMisdirectedRequest || strings.Contains(body, "etcd") {
			t.Errorf("by the name %q: %d", host, code)
		}
	}
	if after := state(t, root); after != before {
		t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
	}
}

// state is every file of a directory, with its size and time.
func state(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			_, _ = fmt.Fprintln(&b, path, info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestThePageFollowsWhatGoesOn: a run that ends while somebody watches is told at once; and the server ends although somebody watches.
func TestThePageFollowsWhatGoesOn(t *testing.T) {
	root, s := shelf(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server(t, s).Serve(ctx, l) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewReader(answer.Body)
	next := func(of string) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v", of, err)
			}
			if strings.HasPrefix(line, "data: ") && strings.Contains(line, of) {
				return
			}
		}
	}
	next("running")
	put(t, root, "new", ended(20, 77, plan.Fail))
	next("new/report.html")
	begin := time.Now()
	stop()
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(begin); took > endWithin {
		t.Errorf("it took %s to end", took)
	}
	if _, err := io.ReadAll(lines); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Errorf("whoever watched was told %v", err)
	}
}
