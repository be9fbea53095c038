package azure

import (
	"errors"
	"net/http"
	"runtime"
	"strings"
)

// guarded does what may go wrong in a way nobody thought of. A mistake of the twin's fails the call or the operation it is made in, and neither the
// process nor another client's call, on which an operation happens to end.
func guarded(do func() *Error) (failure *Error) {
	defer func() {
		if p := recover(); p != nil {
			failure = mistake(p)
		}
	}()
	return do()
}

// guarded is that for the work of an operation on a resource, which ends Failed.
func (t *Twin) guarded(target ID, do func() *Error) *Error {
	done := false
	defer func() {
		if !done {
			t.setState(target, failed)
		}
	}()
	return guarded(func() *Error {
		failure := do()
		done = true
		return failure
	})
}

// answerMistake turns a panic within a call into an answer; call it deferred. The one that cuts a connection on purpose goes on.
func answerMistake(r *request) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) || r.w.status != 0 {
		panic(p)
	}
	mistake(p).write(r.w)
}

// mistakeCode is of no service's: nobody takes it for a failure that Azure has.
const mistakeCode = "TwinMistake"

// mistake is the error for a panic, with the place it came from: nobody else writes that down.
func mistake(p any) *Error {
	return errorf(http.StatusInternalServerError, mistakeCode, "The twin has made a mistake, please report it: %v (at %s)", p, panickedAt())
}

// panickedAt is the first of our lines below the panic that is being recovered from.
func panickedAt() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	panicking := false
	for {
		f, more := frames.Next()
		if panicking && !strings.HasPrefix(strings.TrimPrefix(f.Function, "internal/"), "runtime") {
			return f.Function[strings.LastIndexByte(f.Function, '/')+1:] + ":" + itoa(f.Line)
		}
		panicking = panicking || f.Function == "runtime.gopanic"
		if !more {
			return "an unknown place"
		}
	}
}
