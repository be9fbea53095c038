package remedy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"drydock.dev/drydock/harness/observe"
)

// recently is how long ago a component may have told of a call that did not pass for that to be the symptom.
const recently = 10 * time.Minute

// throttledPattern is how providers tell of it: go-autorest's and the Azure SDK's errors, and the provider's own.
const throttledPattern = `TooManyRequests|StatusCode=429|HTTPStatusCode: 429|RESPONSE 429|HTTP response was 429|[Tt]hrottled`

// throttledLines says of each component whose log tells of calls that did not pass, since when by this host's clock, how many lines and when last; and of
// which no log tells anything, so that nothing follows from its silence.
func (t throttled) throttledLines(ctx context.Context, planes []controlPlane, since time.Time) (out, unheard []string) {
	for _, p := range planes {
		for _, c := range p.components {
			lines, at, err := observe.LogLines(ctx, t.Target.Cluster, p.machine.Name(), c.Name, throttledPattern)
			if err == nil && len(lines) == 0 { // where there is no log, none matches either
				var written []string
				if written, at, err = observe.LogLines(ctx, t.Target.Cluster, p.machine.Name(), c.Name, "."); err == nil && !dated(written, at) {
					err = errors.New("it has no line with a time")
				}
			}
			if err != nil {
				unheard = append(unheard, fmt.Sprintf("the log of %s on %s cannot be read: %v", c.Name, p.machine.Name(), err))
				continue
			}
			from := at.Add(-time.Since(since)) // by the machine's clock
			n, last := 0, time.Time{}
			for _, l := range lines {
				if when := observe.LineTime(l, at); when.After(from) {
					n, last = n+1, when
				}
			}
			if n > 0 {
				out = append(out, fmt.Sprintf("%s on %s tells of %d calls that did not pass, the last %s ago", c.Name, p.machine.Name(), n, at.Sub(last).Round(time.Second)))
			}
		}
	}
	return out, unheard
}

// dated reports whether a line says when it was written.
func dated(lines []string, at time.Time) bool {
	return slices.ContainsFunc(lines, func(l string) bool { return !observe.LineTime(l, at).IsZero() })
}
