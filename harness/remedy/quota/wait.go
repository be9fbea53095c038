package quota

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Settings say how patiently budgets are waited for and watched.
type Settings struct {
	Every  time.Duration `yaml:"every" json:"every,omitempty"`   // from one call to the next; default 1 min
	Unread time.Duration `yaml:"unread" json:"unread,omitempty"` // waited where nothing can be read; default 30 min, the longest window of a policy
	Within time.Duration `yaml:"within" json:"within,omitempty"` // the budgets must have refilled; default 2 h
	Window time.Duration `yaml:"window" json:"window,omitempty"` // that they are watched for afterwards; default 30 min
}

// Complete checks the settings and fills in what is not said.
func (s Settings) Complete() (Settings, error) {
	for _, d := range []struct {
		name string
		at   *time.Duration
		is   time.Duration
	}{{"every", &s.Every, time.Minute}, {"unread", &s.Unread, 30 * time.Minute}, {"within", &s.Within, 2 * time.Hour}, {"window", &s.Window, 30 * time.Minute}} {
		if *d.at < 0 {
			return s, cluster.Usagef("budget: %s is %s; it cannot be negative", d.name, *d.at)
		}
		if *d.at == 0 {
			*d.at = d.is
		}
	}
	if s.Unread > s.Within {
		return s, cluster.Usagef("budget: unread is %s, longer than within, %s: it would never be waited out", s.Unread, s.Within)
	}
	return s, nil
}

// Asker makes one call; nil: nobody can.
type Asker func(ctx context.Context) Reading

// pace is when the next call may come.
type pace struct {
	Settings
	ask  Asker
	next time.Time
	last Reading // the zero one: nobody was asked
}

// due reports whether it is time for the next call.
func (p *pace) due() bool { return !time.Now().Before(p.next) }

// call makes it, where there is somebody to, and says when the next may come.
func (p *pace) call(ctx context.Context) {
	p.last = Reading{At: time.Now().UTC(), Error: "nobody can be asked"}
	if p.ask != nil {
		p.last = p.ask(ctx)
	}
	p.next = time.Now().Add(max(p.Every, p.last.RetryAfter))
}

// tick is how often whoever waits looks up.
func (s Settings) tick() time.Duration { return min(s.Every, time.Second) }

// Refilled waits until the budgets have refilled. Between two calls is the interval, or what the last answer asked for where that is longer. While nothing
// can be read for as long as a window lasts, with nobody of the cluster calling, the budgets count as refilled. Each is called every interval, however late the
// next call may come, and before every call, and ends the wait by an error; told is called with every reading.
func (s Settings) Refilled(ctx context.Context, ask Asker, each func(ctx context.Context) error, told func(Reading)) error {
	p := pace{Settings: s, ask: ask}
	blind := time.Now()  // since then nothing could be read
	var looked time.Time // by each, when last
	var stop error
	short := "nobody was asked" // why they have not, by the last reading
	err := cluster.Await(ctx, "the cloud's budgets refilled", cluster.Wait{For: s.Within, Every: s.tick()}, func(ctx context.Context) error {
		due := p.due()
		if due || time.Since(looked) >= s.Every {
			looked = time.Now()
			if stop = each(ctx); stop != nil {
				return nil //nolint:nilerr // the wait is over: stop is given instead
			}
		}
		if due {
			before := p.last
			p.call(ctx)
			told(p.last)
			var err error
			if short, err = p.last.short(before); err != nil {
				return err
			}
		}
		switch {
		case p.last.Error == "" && short == "":
			return nil
		case p.last.Error == "":
			blind = time.Now()
			return errors.New(short)
		case time.Since(blind) >= s.Unread:
			return nil
		}
		return fmt.Errorf("nothing can be read (%s): %s of %s are waited out", p.last.Error, time.Since(blind).Round(time.Second), s.Unread)
	})
	return cmp.Or(stop, err)
}

// short says why the budgets have not refilled by a reading; empty: they have.
func (r Reading) short(before Reading) (string, error) {
	if r.Status == http.StatusTooManyRequests {
		return r.String(), nil
	}
	return Short(r, before)
}

// ErrThrottled is wrapped by the error of a watch that saw a call that did not pass.
var ErrThrottled = errors.New("throttled")

// ErrBlind is wrapped by the error of a watch of which not all could be seen: a reading tells of the time until the next one was due.
var ErrBlind = errors.New("not all could be read")

// Watch looks at the budgets for a window: an error as soon as a call does not pass, or when at its end some of its calls had told nothing.
func (s Settings) Watch(ctx context.Context, ask Asker, told func(Reading)) error {
	p := pace{Settings: s, ask: ask}
	until := time.Now().Add(s.Window)
	calls, blind, why := 0, 0, ""
	var stop error
	err := cluster.Await(ctx, "a window without a call that does not pass", cluster.Wait{For: s.Window + askWithin + s.Every, Every: s.tick()}, func(ctx context.Context) error {
		if p.due() {
			p.call(ctx)
			told(p.last)
			if calls++; p.last.Error != "" {
				blind, why = blind+1, p.last.String()
			}
		}
		if p.last.Status == http.StatusTooManyRequests {
			stop = fmt.Errorf("%w: %s", ErrThrottled, p.last)
			return nil
		}
		if left := time.Until(until); left > 0 {
			return fmt.Errorf("%s to go, last told: %s", left.Round(time.Second), p.last)
		}
		if blind > 0 {
			stop = fmt.Errorf("%w: %d of %d calls told nothing, the last: %s", ErrBlind, blind, calls, why)
		}
		return nil
	})
	return cmp.Or(stop, err)
}
