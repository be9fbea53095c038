package arm

import "net/http"

// Tally is what became of a client's calls.
type Tally struct{ Passed, Throttled, Struck, Failed int }

// Add counts a call.
func (t *Tally) Add(c Call) {
	switch {
	case c.Status == http.StatusTooManyRequests:
		t.Throttled++
	case c.Status > 0 && c.Status < http.StatusBadRequest:
		t.Passed++
	case c.Fault != "":
		t.Struck++
	default:
		t.Failed++
	}
}

// Sent are the calls that were made for what was needed. One that was answered that it is wrong is neither: it was not sent again for want of an answer.
func (t Tally) Sent() int { return t.Passed + t.Throttled + t.Struck }

// Amplification is how many calls were sent for one that passed; 0 where none did.
func (t Tally) Amplification() float64 {
	if t.Passed == 0 {
		return 0
	}
	return float64(t.Sent()) / float64(t.Passed)
}
