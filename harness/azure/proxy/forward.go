package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

// Hosts are the names that a forward proxy stands before unless it is told others: Resource Manager, the token services, and the metadata service.
func Hosts() []string {
	return []string{
		"management.azure.com", "*.management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn",
		"login.microsoftonline.com", "login.microsoft.com", "login.windows.net", "sts.windows.net", "login.microsoftonline.us", "login.chinacloudapi.cn", "login.partner.microsoftonline.cn",
		"graph.windows.net", "graph.microsoft.com", imdsAddress,
	}
}

// DataHosts are those of the services' data, each below a name that a client chose for what it made: a twin stands for them as well, or what is meant for
// a twin's vault went to the real one of that name.
func DataHosts() []string {
	return []string{
		"*.vault.azure.net", "*.managedhsm.azure.net", "*.blob.core.windows.net", "*.queue.core.windows.net", "*.table.core.windows.net", "*.file.core.windows.net",
		"*.dfs.core.windows.net", "*.web.core.windows.net", "*.blob.storage.azure.net", "*.azurecr.io",
	}
}

// imdsAddress is the metadata service's on every machine of Azure, and of most other clouds.
const imdsAddress = "169.254.169.254"

// intercepts reports whether the proxy stands before a host, with or without a port.
func (p *Relay) intercepts(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return Below(p.options.Intercept, host)
}

// Below reports whether a host is one of a list in which *.example.com is all below one.
func Below(hosts []string, host string) bool {
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	return slices.ContainsFunc(hosts, func(known string) bool {
		known = strings.ToLower(known)
		if below, ok := strings.CutPrefix(known, "*"); ok {
			return strings.HasSuffix(host, below)
		}
		return host == known
	})
}

// ServeHTTP is the forward proxy: CONNECT for TLS, which it ends with a certificate of its own where it stands before the host, and plain requests,
// such as those to the instance metadata service.
func (p *Relay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if r.Method != http.MethodConnect {
		host = r.URL.Host
	}
	switch mine := p.intercepts(host); {
	case host == "":
		http.Error(w, "this is a proxy: set HTTPS_PROXY and HTTP_PROXY to it", http.StatusBadRequest)
	case !mine && (p.options.AnyHost || p.options.Replay != nil):
		arm.Errorf(http.StatusForbidden, "ProxyRefused", "%s is none of the hosts that this proxy stands before (--intercept), and it leads to no others: with --any-host because strangers would use it, with --replay because it reaches nothing.", host).Write(w)
	case r.Method != http.MethodConnect && mine && p.options.Instead != nil:
		there := p.options.Instead(host, false)
		onward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", there }, Transport: p.twin, ErrorLog: silent()}
		onward.ServeHTTP(w, r)
	case r.Method != http.MethodConnect && mine:
		p.pass("http", host).ServeHTTP(w, r)
	case r.Method != http.MethodConnect:
		onward := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: p.real, ErrorLog: silent()}
		onward.ServeHTTP(w, r)
	case mine && p.options.Instead != nil:
		tunnel(w, r, &net.Dialer{Timeout: firstWithin}, p.options.Instead(host, true))
	case mine:
		p.standBefore(w, r)
	default:
		tunnel(w, r, p.dialer(), r.Host)
	}
}

// hijacked takes over the connection of a CONNECT and says that it may begin.
func hijacked(w http.ResponseWriter) (net.Conn, error) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "CONNECT needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return nil, errors.New("no hijacker")
	}
	conn, early, err := hijacker.Hijack()
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &earlyConn{conn, early.Reader}, nil
}

// earlyConn is a connection some of which was read already.
type earlyConn struct {
	net.Conn
	r *bufio.Reader
}

// Read gives what was read already first.
func (c *earlyConn) Read(b []byte) (int, error) { return c.r.Read(b) }

// CloseWrite tells the other side that nothing more comes.
func (c *earlyConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// standBefore ends the client's TLS and forwards each of its requests.
func (p *Relay) standBefore(w http.ResponseWriter, r *http.Request) {
	conn, err := hijacked(w)
	if err != nil {
		return
	}
	over, ended := make(chan struct{}), sync.Once{}
	inside := &http.Server{
		Handler: p.pass("https", strings.TrimSuffix(r.Host, ":443")), TLSConfig: p.options.TLS, ReadHeaderTimeout: firstWithin, ErrorLog: silent(),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				ended.Do(func() { close(over) })
			}
		},
	}
	_ = inside.ServeTLS(&oneConnection{conn: conn}, "", "")
	select {
	case <-over:
	case <-r.Context().Done(): // the proxy's own end
		_ = inside.Close()
	}
}

// tunnel leads to an address without looking at what is said.
func tunnel(w http.ResponseWriter, r *http.Request, d *net.Dialer, address string) {
	there, err := d.DialContext(r.Context(), "tcp", address)
	if err != nil {
		http.Error(w, fmt.Sprintf("proxy: %v", err), http.StatusBadGateway)
		return
	}
	defer func() { _ = there.Close() }()
	here, err := hijacked(w)
	if err != nil {
		return
	}
	defer func() { _ = here.Close() }()
	defer context.AfterFunc(r.Context(), func() { _, _ = here.Close(), there.Close() })()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{here, there}, {there, here}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0])
			_ = closeWrite(way[1])
		})
	}
	both.Wait()
}

// errOutOfBounds is of a connection that is not made for a stranger.
var errOutOfBounds = errors.New("not an address that this proxy leads to")

// dialer connects to where clients want. Where other machines reach the proxy it looks at the address when the name was looked up already: a name says
// nothing of where it leads.
func (p *Relay) dialer() *net.Dialer {
	d := &net.Dialer{Timeout: firstWithin}
	if p.options.AnyHost {
		forward := p.to == nil
		d.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || guardedAddress(to.Addr(), forward) {
				return fmt.Errorf("%s: %w (--any-host)", address, errOutOfBounds)
			}
			return nil
		}
	}
	return d
}

// guardedAddress reports whether an address answers this machine what it answers nobody else: link-local ones (metadata services of most clouds), the
// other addresses of metadata services (Azure's wire server, Amazon's over IPv6, Alibaba's), and, for a forward proxy, the machine's own.
func guardedAddress(a netip.Addr, forward bool) bool {
	a = a.Unmap().WithZone("")
	if nat64 := netip.MustParsePrefix("64:ff9b::/96"); nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch a.String() {
	case "168.63.129.16", "fd00:ec2::254", "100.100.100.200":
		return true
	}
	return a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast() || forward && (a.IsLoopback() || a.IsUnspecified())
}

// oneConnection is a listener that has one connection to give.
type oneConnection struct {
	conn net.Conn
	once sync.Once
}

// Accept gives the connection, and after it the end.
func (l *oneConnection) Accept() (c net.Conn, err error) {
	err = net.ErrClosed
	l.once.Do(func() { c, err = l.conn, nil })
	return c, err
}

// Close has nothing to close: the connection is its user's.
func (*oneConnection) Close() error { return nil }

// Addr is the connection's.
func (l *oneConnection) Addr() net.Addr { return l.conn.LocalAddr() }

// firstWithin is how long a client may take to send its headers, and a connection to be made.
const firstWithin = 30 * time.Second

// silent is a log for servers: a client that hangs up is not their error.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }
