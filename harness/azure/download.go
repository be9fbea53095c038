package azure

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// How much is downloaded for a deployment, and how long that may take. A template has 4 MB at most (learn.microsoft.com "ARM template best practices").
const (
	maxDownload     = 4 << 20
	downloadTimeout = 10 * time.Second
)

// download gets what a deployment links to, from this machine only: the twin stands for the public cloud, and reaches nothing of it. It goes by no
// proxy, for a proxy would reach further.
func download(u *url.URL) ([]byte, error) {
	c := &http.Client{
		Timeout:   downloadTimeout,
		Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			return onThisMachine(r.URL)
		},
	}
	if err := onThisMachine(u); err != nil {
		return nil, err
	}
	answer, err := c.Do(&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s://%s%s: %s", u.Scheme, u.Host, u.Path, answer.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxDownload+1))
	if err == nil && len(raw) > maxDownload {
		err = errors.New("it is larger than 4 MB")
	}
	return raw, err
}

// onThisMachine says why a URL leads elsewhere. Names are not looked up: whoever answers for them may change his mind.
func onThisMachine(u *url.URL) error {
	ip := net.ParseIP(u.Hostname())
	if (u.Scheme != "http" && u.Scheme != "https") || (u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())) {
		return fmt.Errorf("%s://%s is not on this machine's loopback", u.Scheme, u.Host)
	}
	return nil
}
