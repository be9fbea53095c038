package quota

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/throttle"
)

// Reading is what one call was told.
type Reading struct {
	At         time.Time      `json:"at"`
	Status     int            `json:"status"`               // HTTP; 0: there was no answer
	RetryAfter time.Duration  `json:"retryAfter,omitempty"` // of a 429: the next call is not to come before
	Left       map[string]int `json:"left,omitempty"`       // budget, as its header names it -> calls that would pass
	Error      string         `json:"error,omitempty"`      // why nothing could be read; empty: it was answered
}

// String says it in a line.
func (r Reading) String() string {
	switch {
	case r.Error != "":
		return r.Error
	case r.Status == http.StatusTooManyRequests:
		return fmt.Sprintf("429, not before %s%s", r.RetryAfter, r.left())
	}
	return strconv.Itoa(r.Status) + r.left()
}

func (r Reading) left() string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Left)) {
		fmt.Fprintf(&out, ", %s %d left", strings.TrimPrefix(name, headerPrefix), r.Left[name])
	}
	return out.String()
}

// Reader asks as an account.
type Reader struct {
	Account Account

	http  *http.Client
	token string
}

// Open makes a reader. It calls nobody yet.
func Open(a Account) (*Reader, error) {
	c, err := a.client()
	return &Reader{Account: a, http: c}, err
}

// How the headers begin that tell of budgets, and the one that names policies of a resource provider: POLICY;LEFT,POLICY;LEFT
// (learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling, "Remaining requests").
const (
	headerPrefix   = "X-Ms-Ratelimit-Remaining-"
	headerResource = headerPrefix + "Resource"
)

// Ask makes one call, which the account's components make too and which draws on the budgets they exhaust: it lists the scale sets of the resource group, or
// its machines. Whatever comes of it is in the reading.
func (r *Reader) Ask(ctx context.Context) Reading {
	out := r.ask(ctx)
	if out.Status == http.StatusUnauthorized && r.token != "" { // tokens live for an hour or so
		r.token = ""
		out = r.ask(ctx)
	}
	return out
}

func (r *Reader) ask(ctx context.Context) Reading {
	out := Reading{At: time.Now().UTC()}
	fail := func(err error) Reading {
		out.Error = err.Error()
		return out
	}
	if r.token == "" {
		if err := r.login(ctx); err != nil {
			return fail(fmt.Errorf("token: %w", err))
		}
	}
	what := "virtualMachines"
	if r.Account.ScaleSets {
		what = "virtualMachineScaleSets"
	}
	a := r.Account
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/%s?api-version=2019-07-01", a.Endpoint, a.Subscription, a.Group, what), nil)
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	resp, err := r.http.Do(req)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = resp.Body.Close() }()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
	out.Status, out.Left = resp.StatusCode, left(resp.Header)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		out.RetryAfter = retryAfter(resp.Header, time.Now())
	case resp.StatusCode != http.StatusOK:
		return fail(fmt.Errorf("%s: %s: %s", req.URL.Path, resp.Status, said))
	case len(out.Left) == 0:
		return fail(fmt.Errorf("%s: %s, and no header tells of a budget", req.URL.Path, resp.Status))
	}
	return out
}

func (r *Reader) login(ctx context.Context) error {
	a := r.Account
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {a.Client}, "client_secret": {a.secret}, "resource": {a.Audience}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Authority+"/"+a.Tenant+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", req.URL.Path, resp.Status) // the body may quote the secret
	}
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return fmt.Errorf("%s: %w", req.URL.Path, err)
	}
	r.token = body.Token
	return nil
}

// left reads the headers of budgets. Those of policies come as one value with commas or as several.
func left(h http.Header) map[string]int {
	out := map[string]int{}
	for name, values := range h {
		if !strings.HasPrefix(name, headerPrefix) {
			continue
		}
		for _, v := range values {
			if name != headerResource {
				if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
					out[name] = n
				}
				continue
			}
			for _, each := range strings.Split(v, ",") {
				policy, count, ok := strings.Cut(strings.TrimSpace(each), ";")
				if n, err := strconv.Atoi(strings.TrimSpace(count)); ok && err == nil {
					out[policy] = n
				}
			}
		}
	}
	return out
}

// retryAfter is in seconds or a date (RFC 9110, 10.2.3); without one it is a minute, as nothing is known.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now)).Round(time.Second)
	}
	return time.Minute
}

// enough is the share of a budget, in percent, from which on it counts as refilled: others of the subscription draw on it too, so that it may never be full.
const enough = 50

// capacities are of the budgets whose size is known, the largest that is, by the policies of the twin. Headers tell what is left and never of how much.
func capacities() (map[string]int, error) {
	out := map[string]int{}
	for _, name := range throttle.Policies() {
		p, err := throttle.LoadPolicy(name)
		if err != nil {
			return nil, err
		}
		for _, rp := range p.Providers {
			if rp.Subscription != nil {
				out[rp.Policy] = max(out[rp.Policy], rp.Subscription.Capacity)
			}
		}
	}
	return out, nil
}

// gatewayReads is the smallest there is of the gateway's budgets of reads, of those that are in force: 250 tokens, where it was 12000 an hour before 2024.
const gatewayReads = 250

// Short says which budgets of a reading are not refilled; empty: all that it tells of are. Of one whose size nobody knows it is enough that something is left
// and that it has not grown since the reading before.
func Short(now, before Reading) (string, error) {
	known, err := capacities()
	if err != nil {
		return "", err
	}
	var short []string
	for _, name := range slices.Sorted(maps.Keys(now.Left)) {
		n, size := now.Left[name], known[name]
		if strings.HasPrefix(name, headerPrefix) {
			size = gatewayReads
		}
		was, told := before.Left[name]
		switch {
		case size > 0 && n*100 >= size*enough, size == 0 && n > 0 && told && n <= was:
		case size > 0:
			short = append(short, fmt.Sprintf("%s has %d left of %d", name, n, size))
		default:
			short = append(short, fmt.Sprintf("%s has %d left, of how many nobody knows", name, n))
		}
	}
	return strings.Join(short, ", "), nil
}
