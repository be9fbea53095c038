package load

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

// Sample is one try of a probe.
type Sample struct {
	Start  time.Time       `json:"start"`
	End    time.Time       `json:"end"`
	Err    string          `json:"err,omitempty"`    // empty: it succeeded
	Class  cluster.Failure `json:"class,omitempty"`  // what kind of failure
	Status int             `json:"status,omitempty"` // of a failure that is an HTTP server's answer
}

// Good reports whether the try succeeded.
func (s Sample) Good() bool { return s.Err == "" }

// failed notes the error of a try.
func (s *Sample) failed(err error) {
	if err == nil {
		return
	}
	s.Err, s.Class = cmp.Or(err.Error(), "a failure without a word"), failureOf(err)
	var status statusError
	var api apierrors.APIStatus
	switch {
	case errors.As(err, &status):
		s.Status = status.code
	case errors.As(err, &api):
		s.Status = int(api.Status().Code)
	}
}

// statusError is an HTTP answer that is not a success.
type statusError struct {
	code int
	said string
}

func (e statusError) Error() string { return fmt.Sprintf("%d: %s", e.code, e.said) }

// failureOf tells the kind of an error of any of the clients here.
func failureOf(err error) cluster.Failure {
	var status statusError
	var api apierrors.APIStatus
	if errors.As(err, &status) || errors.As(err, &api) {
		return cluster.Answered
	}
	if kind := cluster.FailureOf(err); kind != cluster.Other {
		return kind
	}
	return etcd.FailureOf(err)
}

// LongestGap is the longest time from one success to the next, counting from the first try and to the last one.
func LongestGap(samples []Sample) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	last, longest := samples[0].Start, time.Duration(0)
	for _, s := range samples {
		if s.Good() {
			longest = max(longest, s.End.Sub(last))
			last = s.End
		}
	}
	return max(longest, samples[len(samples)-1].End.Sub(last))
}

// Quantile is the time that so much of all took at most, 0.5 for half of them; nothing when there are none.
func Quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[int(q*float64(len(sorted)-1))]
}
