package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Failure is the kind of an error. The kinds are kept apart because they are worth different things as evidence: who is refused knows that
// nothing listens, who got no answer in time may have been too slow to see it come.
type Failure string

// The kinds of failures; the empty one is none.
const (
	Refused  Failure = "refused"  // nothing listens there
	Reset    Failure = "reset"    // the connection ended before the answer
	Deadline Failure = "deadline" // no answer in time
	Answered Failure = "answered" // an answer came, and it was no
	Unasked  Failure = "unasked"  // nobody could ask: nothing is known of it
	Other    Failure = "other"
)

// FailureOf tells what kind of failure an error of a connection is.
func FailureOf(err error) Failure {
	var timeout net.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return Reset
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Deadline
	default:
		return Other
	}
}
