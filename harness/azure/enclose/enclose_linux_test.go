package enclose

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"drydock.dev/drydock/harness/cluster"
)

// TestMain is the three processes: the test, the one inside, and the program that it becomes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "inside":
			_, _ = fmt.Fprintln(os.Stderr, Inside())
			os.Exit(126)
		case "program":
			os.Exit(program(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

// program says on its standard output what it finds.
func program(asked []string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format, args...) }
	for _, a := range asked {
		switch {
		case a == "exit":
			return 7
		case strings.HasPrefix(a, "http"):
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, a, nil)
			if err != nil {
				return 1
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				say("%s: %v\n", a, err)
				continue
			}
			raw, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			say("%s: %s\n", a, raw)
		case strings.HasPrefix(a, "tcp:"):
			conn, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", strings.TrimPrefix(a, "tcp:"))
			if err != nil {
				say("%s: %v\n", a, err)
				continue
			}
			raw, _ := io.ReadAll(conn)
			say("%s: %s\n", a, raw)
		case a == "rights":
			raw, _ := os.ReadFile("/proc/self/status")
			say("%d %d\n", os.Getuid(), os.Getgid())
			for line := range strings.Lines(string(raw)) {
				if strings.HasPrefix(line, "Cap") {
					say("%s", line)
				}
			}
		case a == "proxy":
			say("proxy=%q bundle=%q\n", os.Getenv("HTTPS_PROXY"), os.Getenv("SSL_CERT_FILE"))
		}
	}
	return 0
}

// run has the program's output go through this test's standard output, which Run gives it.
func run(t *testing.T, e Enclosure, asked ...string) (string, int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = stdout }()
	said := make(chan string)
	go func() {
		raw, _ := io.ReadAll(r)
		said <- string(raw)
	}()
	e.Self = []string{self, "inside"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code, err := e.Run(ctx, append([]string{self, "program"}, asked...))
	_ = w.Close()
	out := <-said
	if errors.Is(err, errNoNamespaces) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out, code
}

func TestAProgramThatKnowsNothingFindsTheTwinByThePublicNames(t *testing.T) {
	twin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprintf(w, "the twin as %s", r.Host) }))
	twin.EnableHTTP2 = true
	twin.StartTLS() // with a certificate of example.com and its like
	defer twin.Close()
	other, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	go func() {
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("another"))
			_ = c.Close()
		}
	}()
	t.Setenv("HTTPS_PROXY", "http://192.0.2.1:1")
	e := Enclosure{
		Hosts: []string{"example.com", "*.example.com"},
		Ways:  []Way{{"127.0.0.1:443", twin.Listener.Addr().String()}, {"169.254.169.254:80", other.Addr().String()}},
		Reach: []string{other.Addr().String(), "localhost:" + portOf(other.Addr())},
		CA:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: twin.Certificate().Raw}),
	}
	before, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	out, _ := run(t, e, "proxy", "rights", "https://example.com/a", "https://any.example.com/b", "https://elsewhere.test/c", "tcp:169.254.169.254:80", "tcp:192.0.2.1:443", "tcp:"+other.Addr().String(), "tcp:127.0.0.1:1")
	for _, want := range []string{
		"https://example.com/a: the twin as example.com\n", "https://any.example.com/b: the twin as any.example.com\n",
		"https://elsewhere.test/c: Get \"https://elsewhere.test/c\": dial tcp: lookup elsewhere.test", "no such host",
		"tcp:169.254.169.254:80: another\n", "tcp:192.0.2.1:443: dial tcp 192.0.2.1:443: connect: network is unreachable\n",
		"tcp:" + other.Addr().String() + ": another\n", "tcp:127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused\n", `proxy="" bundle="/`,
		fmt.Sprintf("%d %d\n", os.Getuid(), os.Getgid()), "CapAmb:\t0000000000000000",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if os.Getuid() != 0 && !strings.Contains(out, "CapEff:\t0000000000000000") {
		t.Errorf("the program has rights:\n%s", out)
	}
	if after, err := os.ReadFile("/etc/hosts"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the host's hosts file is another: %v\n%s", err, after)
	}
}

func portOf(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

func TestTheProgramsExitCodeIsTold(t *testing.T) {
	if _, code := run(t, Enclosure{}, "exit"); code != 7 {
		t.Errorf("%d", code)
	}
}

func TestWhatIsNoProgramOrNoAddressIsRefused(t *testing.T) {
	var usage *cluster.UsageError
	if _, err := (Enclosure{}).Run(t.Context(), []string{"no-such-program"}); !errors.As(err, &usage) {
		t.Errorf("%v", err)
	}
	for _, r := range []string{"host", "host:", ":80", "host:0", "host:x", "host:70000"} {
		if _, err := (Enclosure{Reach: []string{r}}).Run(t.Context(), []string{"true"}); !errors.As(err, &usage) || !strings.Contains(err.Error(), r) {
			t.Errorf("%s: %v", r, err)
		}
	}
}

func TestNamesAreTheHostsAndNoOthers(t *testing.T) {
	e := Enclosure{Hosts: []string{"management.azure.com", "*.vault.azure.net"}}
	for name, want := range map[string]struct {
		answers int
		code    dnsmessage.RCode
	}{
		"management.azure.com.": {1, dnsmessage.RCodeSuccess}, "Mine.Vault.Azure.net.": {1, dnsmessage.RCodeSuccess},
		"vault.azure.net.": {0, dnsmessage.RCodeNameError}, "elsewhere.test.": {0, dnsmessage.RCodeNameError},
	} {
		q := dnsmessage.Message{Header: dnsmessage.Header{ID: 9, RecursionDesired: true}, Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
		raw, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		answer, err := e.answer(raw)
		if err != nil {
			t.Fatal(err)
		}
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil {
			t.Fatal(err)
		}
		if len(m.Answers) != want.answers || m.RCode != want.code || m.ID != 9 || !m.Response {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if _, err := e.answer([]byte("no question")); err == nil {
		t.Error("an answer to no question")
	}
}
