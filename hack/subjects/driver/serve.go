package driver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// serveWord is the first argument of a provider that is to run as a component of a control plane.
const serveWord = "serve"

// serve runs the provider as a component: until it is told to end it asks after nodes, as controllers do for which a machine is gone that they still have
// business with, and tells of itself as components of Kubernetes do: in its log, and by its metrics.
func serve(open func(config string) (*Provider, error), module string, args []string) error {
	flags := flag.NewFlagSet(serveWord, flag.ContinueOnError)
	config := flags.String("cloud-config", "/etc/kubernetes/azure.json", "file that says who it is to the cloud")
	nodes := flags.String("nodes", "", "names of nodes, with commas, that it asks after")
	every := flags.Duration("every", 2*time.Second, "from an answer to the next question about the same node")
	port := flags.Int("secure-port", 10258, "of /healthz and /metrics")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c := &component{started: time.Now(), version: versionOf(module)}
	c.say('I', "Version: %s (%s)", c.version, module)
	raw, err := os.ReadFile(*config)
	if err != nil {
		return err
	}
	if c.provider, err = open(string(raw)); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	for _, node := range strings.FieldsFunc(*nodes, func(r rune) bool { return r == ',' }) {
		go c.follow(ctx, node, *every)
	}
	return c.listen(ctx, *port)
}

// versionOf is the version of a module that this program is built of.
func versionOf(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, d := range info.Deps {
		if d.Path == module {
			return d.Version
		}
	}
	return "unknown"
}

type component struct {
	provider *Provider
	version  string
	started  time.Time

	answered, throttled, failed atomic.Int64
}

// say writes a line as klog does.
func (c *component) say(level byte, format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%c%s %7d serve.go:1] %s\n", level, time.Now().Format("0102 15:04:05.000000"), os.Getpid(), fmt.Sprintf(format, args...))
}

// follow asks after a node again and again.
func (c *component) follow(ctx context.Context, node string, every time.Duration) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		id, err := c.provider.Node(ctx, node)
		switch {
		case err == nil:
			c.answered.Add(1)
			c.say('I', "node %s is %s", node, id)
		case throttled(err):
			c.throttled.Add(1)
			c.say('E', "node %s: throttled: %v", node, err)
		case gone(err):
			c.answered.Add(1)
			c.say('I', "node %s has no machine", node)
		default:
			c.failed.Add(1)
			c.say('E', "node %s: %v", node, err)
		}
		again.Reset(every)
	}
}

// throttled reports whether an error is of a call that did not pass, in the words of either SDK, or of the provider that does not call for being told so.
func throttled(err error) bool {
	s := strings.ToLower(err.Error())
	return strings.Contains(s, "429") || strings.Contains(s, "toomanyrequests") || strings.Contains(s, "throttl")
}

// gone is the answer that the machine is not there: both providers give Kubernetes' own error, which either has in a package of its own.
func gone(err error) bool { return strings.Contains(err.Error(), "instance not found") }

func (c *component) listen(ctx context.Context, port int) error {
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "ok") })
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "kubernetes_build_info{git_version=%q} 1\nprocess_start_time_seconds %.2f\n", c.version, float64(c.started.UnixMilli())/1000)
		for result, n := range map[string]int64{"answered": c.answered.Load(), "throttled": c.throttled.Load(), "failed": c.failed.Load()} {
			_, _ = fmt.Fprintf(w, "drydock_lookups_total{result=%q} %d\n", result, n)
		}
	})
	server := &http.Server{
		Addr: fmt.Sprintf(":%d", port), Handler: mux, ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServeTLS("", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	c.say('I', "ended as it was told")
	return nil
}

// selfSigned is what components serve by that are given no certificate.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "cloud-provider"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, err
}
