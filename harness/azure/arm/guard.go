package arm

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
)

// Guarded does what may go wrong in a way nobody thought of. A mistake of the twin's fails the call or the operation it is made in, and neither the
// process nor another client's call, on which an operation happens to end.
func Guarded(do func() *Error) (failure *Error) {
	defer func() {
		if p := recover(); p != nil {
			failure = Mistake(p)
		}
	}()
	return do()
}

// MistakeCode is of no service's: nobody takes it for a failure that Azure has.
const MistakeCode = "TwinMistake"

// Mistake is the error for a panic, with the place it came from: nobody else writes that down.
func Mistake(p any) *Error {
	return Errorf(http.StatusInternalServerError, MistakeCode, "The twin has made a mistake, please report it: %v (at %s)", p, panickedAt())
}

// panickedAt is the first of our lines below the panic that is being recovered from.
func panickedAt() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	panicking := false
	for {
		f, more := frames.Next()
		if panicking && !strings.HasPrefix(strings.TrimPrefix(f.Function, "internal/"), "runtime") {
			return f.Function[strings.LastIndexByte(f.Function, '/')+1:] + ":" + strconv.Itoa(f.Line)
		}
		panicking = panicking || f.Function == "runtime.gopanic"
		if !more {
			return "an unknown place"
		}
	}
}
