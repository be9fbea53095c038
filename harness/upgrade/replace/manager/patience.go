package manager

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// Spent is what a client called so far. Polls are calls; those for tokens are not.
type Spent struct {
	Sent    int           `json:"sent"`
	Passed  int           `json:"passed"`  // answered, be it with an error that says what is wrong with the call
	Refused int           `json:"refused"` // 429, 5xx, or no answer
	Waited  time.Duration `json:"waited"`  // because of refused ones
}

// Amplification is calls sent for one that was needed; 0 when none passed.
func (s Spent) Amplification() float64 {
	if s.Passed == 0 {
		return 0
	}
	return float64(s.Sent) / float64(s.Passed)
}

func (s Spent) String() string {
	return fmt.Sprintf("%d calls sent for %d that were needed, %d refused, %s waited", s.Sent, s.Passed, s.Refused, s.Waited.Round(time.Second))
}

// The budget: one refused call for ten that passed, and a few before any has. Who is refused more often takes part in what throttles him: the calls that
// are refused count as well (notes on Microsoft.Compute: measuredRequestCount).
const (
	reserve  = 8
	passEach = 10
)

func (s Spent) over() bool { return s.Refused > reserve+s.Passed/passEach }

// StoppedError ends a call that was refused, before it is made once too often: nothing is known to be wrong with what it asks for.
type StoppedError struct {
	Call  string
	Why   string        // it was not made again
	Wait  time.Duration // until it makes sense to go on
	Spent Spent
	Last  string // refusal
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("%s was refused (%s) and is not made again: %s; %s. What to do: see who uses up the budgets of the subscription (the x-ms-ratelimit-remaining headers of any answer), "+
		"wait for %s at least, and run the same again: it goes on where it is", e.Call, e.Last, e.Why, e.Spent, e.Wait.Round(time.Second))
}

// NonRetriable is azcore's: nobody makes the call again.
func (*StoppedError) NonRetriable() {}

// How long to wait at the least after a 429, whatever little Retry-After says, and where nobody answers, who may be back in a moment. Microsoft.Compute counts
// by the minute; and a budget that others drain has a token again in the second that it tells, and nobody gets it: with less patience TestAHostileManagerIsNotProvoked
// sends more than 1.1 calls for one. A call that is refused again waits twice as long, and longer than that only when it is told to.
const (
	unsaid  = 30 * time.Second
	unheard = 2 * time.Second
	longest = 5 * time.Minute
	margin  = time.Second // Retry-After is in whole seconds, and early calls may lengthen the block
)

// patience is the retry policy of a client: a policy of azcore's that makes a call again. It is before the SDK's own, which is off.
type patience struct {
	within time.Duration // of a call without a deadline of its own

	mu    sync.Mutex
	spent Spent
}

func (p *patience) so() Spent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spent
}

// mayKey is where a context has what is asked before a DELETE is made.
type mayKey struct{}

// may asks whether a call may be made still.
func may(req *policy.Request) error {
	ctx := req.Raw().Context()
	ask, _ := ctx.Value(mayKey{}).(func(context.Context) error)
	if ask == nil || req.Raw().Method != http.MethodDelete { // the polls of it ask for nothing
		return nil
	}
	return ask(ctx)
}

// Do makes a call until it is answered by somebody who has looked at it.
func (p *patience) Do(req *policy.Request) (*http.Response, error) {
	ctx, call := req.Raw().Context(), req.Raw().Method+" "+Short(req.Raw().URL.Path)
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.within, fmt.Errorf("the call has taken %s", p.within))
		defer cancel()
		req = req.WithContext(ctx)
	}
	var wait time.Duration
	for {
		if err := req.RewindBody(); err != nil {
			return nil, fmt.Errorf("%s: %w", call, err)
		}
		if err := may(req); err != nil {
			return nil, err
		}
		resp, err := req.Next()
		if ctx.Err() != nil { // what was answered to a call that was given up says nothing
			return nil, fmt.Errorf("%s: %w", call, context.Cause(ctx))
		}
		why, told := refusal(resp, err)
		p.count(why != "")
		if why == "" {
			return resp, err
		}
		wait = min(max(2*wait, first(resp)), longest)
		if told > 0 {
			wait = max(wait, told+margin)
		}
		if err := p.hold(ctx, call, why, wait); err != nil {
			return nil, err
		}
	}
}

func (p *patience) count(refused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spent.Sent++; refused {
		p.spent.Refused++
	} else {
		p.spent.Passed++
	}
}

// hold waits before a call is made again; a StoppedError when it must not be, or will not come to it before the deadline.
func (p *patience) hold(ctx context.Context, call, last string, wait time.Duration) error {
	spent := p.so()
	stop := &StoppedError{Call: call, Wait: wait, Spent: spent, Last: last}
	deadline, limited := ctx.Deadline()
	switch left := time.Until(deadline); {
	case spent.over():
		stop.Why = fmt.Sprintf("of the calls so far %d were refused, and no more than %d and one for %d that pass are spent", spent.Refused, reserve, passEach)
		return stop
	case limited && wait >= left:
		stop.Why = fmt.Sprintf("it is to wait for %s, and the step has %s left", wait.Round(time.Second), left.Round(time.Second))
		return stop
	}
	p.mu.Lock()
	p.spent.Waited += wait
	p.mu.Unlock()
	if err := pause(ctx, wait); err != nil {
		return fmt.Errorf("%s: %w; last refused: %s", call, err, last)
	}
	return nil
}

// first is how long to wait after a first refusal that says nothing of it.
func first(resp *http.Response) time.Duration {
	if resp != nil && resp.StatusCode == http.StatusTooManyRequests {
		return unsaid
	}
	return unheard
}

// refusal says why a call has to be made again, and how long to wait as the answer says; empty: it has not.
func refusal(resp *http.Response, err error) (why string, told time.Duration) {
	if err != nil {
		return err.Error(), 0
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		told = retryAfter(resp.Header, time.Now())
		why = fmt.Sprintf("%d %s", resp.StatusCode, cmp.Or(resp.Header.Get("x-ms-error-code"), code(resp)))
		if told > 0 {
			why += fmt.Sprintf(", Retry-After %s", told)
		}
		runtime.Drain(resp)
		return why, told
	}
	return "", 0
}

// retryAfter is what an answer says, in the order in which the SDK reads it; 0: nothing.
func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, ms := range []string{"retry-after-ms", "x-ms-retry-after-ms"} {
		if n, err := strconv.Atoi(h.Get(ms)); err == nil && n > 0 {
			return time.Duration(n) * time.Millisecond
		}
	}
	said := h.Get("Retry-After")
	if n, err := strconv.Atoi(said); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(said); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// said is the error in a body, wherever in it that is: of an answer, of an operation, or of a deployment.
type said struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details []said `json:"details"`
}

// body reads the error of an answer; the SDK has downloaded it.
func body(resp *http.Response) said {
	raw, err := runtime.Payload(resp)
	if err != nil {
		raw, _ = io.ReadAll(resp.Body)
	}
	var b struct {
		said
		Error      said
		Properties struct{ Error said }
	}
	_ = json.Unmarshal(raw, &b)
	for _, s := range []said{b.Error, b.Properties.Error, b.said} {
		if s.Code != "" {
			return s
		}
	}
	return said{}
}

func code(resp *http.Response) string {
	s := body(resp)
	for _, d := range s.Details { // OperationNotAllowed is many things
		if d.Code != "" {
			return s.Code + "/" + d.Code
		}
	}
	return s.Code
}

// message is what an error says, with what it says in detail.
func message(resp *http.Response) string {
	s := body(resp)
	out := s.Message
	for _, d := range s.Details {
		out += "; " + strings.TrimSuffix(d.Code+": "+d.Message, ": ")
	}
	return out
}
