// Package enclose runs a program where names of the public cloud lead to a twin: in a network of its own with nothing in it but the ways that are named,
// with its own hosts file, resolver and certificate authorities. It needs no root and no word of the program's: it is for those that ignore proxies.
package enclose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// Enclosure is what a program finds around it.
type Enclosure struct {
	// Hosts lead to 127.0.0.1, *.example.com all below one. There are no other names but those of Reach.
	Hosts []string
	Ways  []Way
	Reach []string // HOST:PORT outside that can be reached all the same, by the same name or address
	CA    []byte   // an authority that is trusted besides the host's, PEM
	// Self is the program, with arguments, that calls Inside: this very one.
	Self []string
}

// Way is an address inside whose connections are made to one outside.
type Way struct{ Inside, Outside string }

// inner is what the process inside is told.
type inner struct {
	Addresses []string          `json:"addresses"` // of the loopback, besides its own
	Listen    []string          `json:"listen"`    // TCP, in the order of the ways
	Files     map[string]string `json:"files"`     // path -> file that takes its place
	Argv      []string          `json:"argv"`
	Env       []string          `json:"env"`
}

// resolver is where the names are asked for inside.
const resolver = "127.0.0.1:53"

// ways are all of them with the hosts file that names need: a name that is reached has a loopback address of its own inside, and an address is its own.
func (e Enclosure) ways() (all []Way, addresses []string, hosts string, err error) {
	var text strings.Builder
	text.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, h := range e.Hosts {
		if _, numeric := netip.ParseAddr(h); numeric != nil && !strings.HasPrefix(h, "*") {
			fmt.Fprintf(&text, "127.0.0.1 %s\n", h)
		}
	}
	own := func(a netip.Addr) {
		if !a.IsLoopback() {
			addresses = append(addresses, a.String())
		}
	}
	for _, w := range e.Ways {
		at, err := netip.ParseAddrPort(w.Inside)
		if err != nil {
			return nil, nil, "", fmt.Errorf("enclose: %w", err)
		}
		own(at.Addr())
		all = append(all, w)
	}
	named := map[string]string{} // a name -> its address inside
	for _, r := range e.Reach {
		host, port, err := net.SplitHostPort(r)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
			return nil, nil, "", cluster.Usagef("--reach %q is not HOST:PORT", r)
		}
		at, numeric := netip.ParseAddr(host)
		switch {
		case host == "localhost":
			at = netip.MustParseAddr("127.0.0.1")
		case numeric == nil:
			own(at)
		case named[host] == "":
			named[host] = fmt.Sprintf("127.0.1.%d", len(named)+1)
			fmt.Fprintf(&text, "%s %s\n", named[host], host)
			fallthrough
		default:
			at = netip.MustParseAddr(named[host])
		}
		if w := (Way{net.JoinHostPort(at.String(), port), r}); !slices.ContainsFunc(all, func(o Way) bool { return o.Inside == w.Inside }) {
			all = append(all, w)
		}
	}
	if len(named) > 254 {
		return nil, nil, "", cluster.Usagef("--reach names %d hosts; at most 254", len(named))
	}
	return all, addresses, text.String(), nil
}

// bundles are where systems keep the authorities they trust (crypto/x509/root_linux.go of Go, which has collected them).
func bundles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
	}
}

// files writes what takes the place of the host's files, below dir, and tells where the bundle is.
func (e Enclosure) files(dir, hosts string) (files map[string]string, bundle string, err error) {
	var trusted []byte
	files = map[string]string{}
	bundle = filepath.Join(dir, "ca.pem")
	for _, path := range bundles() {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		files[path] = bundle
		if trusted == nil {
			trusted = append(raw, '\n')
		}
	}
	for path, text := range map[string]string{
		"/etc/hosts": hosts, "/etc/resolv.conf": "nameserver 127.0.0.1\n",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n", // nothing that asks the host's resolver by a socket
	} {
		if _, err := os.Stat(path); err != nil { // there is nothing to take the place of, and nobody reads it
			continue
		}
		files[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(files[path], []byte(text), 0o644); err != nil {
			return nil, "", err
		}
	}
	return files, bundle, os.WriteFile(bundle, append(trusted, e.CA...), 0o644)
}

// environment tells clients where the authorities are, each by its own name, and of no proxy: there is none inside.
func environment(host []string, bundle string) (env []string) {
	told := map[string]string{"SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle, "CURL_CA_BUNDLE": bundle, "NODE_EXTRA_CA_CERTS": bundle}
	for _, v := range host {
		name, _, _ := strings.Cut(v, "=")
		if _, ours := told[name]; !ours && !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			env = append(env, v)
		}
	}
	for name, value := range told {
		env = append(env, name+"="+value)
	}
	return env
}

// carry makes each connection of a listener one to an address outside, until the listener ends.
func carry(ctx context.Context, l net.Listener, outside string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = in.Close() }()
			out, err := (&net.Dialer{}).DialContext(ctx, "tcp", outside)
			if err != nil {
				return // the program sees its connection end, as with a server that is down
			}
			defer func() { _ = out.Close() }()
			done := make(chan struct{})
			go func() {
				defer close(done)
				pour(out, in)
			}()
			pour(in, out)
			<-done
		}()
	}
}

// pour copies until the end and tells it the other side.
func pour(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		_, _ = to.Close(), from.Close()
	}
}

// errNoNamespaces says what else there is.
var errNoNamespaces = errors.New("this host lets its users make no namespaces (user.max_user_namespaces, or AppArmor's kernel.apparmor_restrict_unprivileged_userns): " +
	"give the client the proxy instead, as `drydock arm serve` prints it")
