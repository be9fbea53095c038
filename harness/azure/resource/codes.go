package resource

import "net/http"

// Verbs is a set of ways to write a resource.
type Verbs uint8

// The ways there are.
const (
	Creates Verbs = 1 << iota // a PUT of what is not there
	Updates                   // a PUT of what is
	Patches
	Deletes
	Every = Creates | Updates | Patches | Deletes
	Reads = Deletes << 1 // of what is an action and nothing else
)

// Codes are the statuses that a type answers. 0 is the one that most have: 201 for what was created, 200 for what was changed, 202 for a DELETE that
// goes on and 200 for one that is done, 204 for a DELETE of what is not there. The SDKs take those of their specification and no other, so what
// differs stands in a type's row, and harness/azure/oracle holds all of them against the Go SDK.
type Codes struct{ Create, Update, Patch, Delete, Gone int }

// code is what a way to write is answered.
func (t *Type) code(v Verbs) int {
	own, common := 0, http.StatusOK
	switch v {
	case Creates:
		own, common = t.Codes.Create, http.StatusCreated
	case Updates, Every:
		own = t.Codes.Update
	case Patches:
		own = t.Codes.Patch
	case Reads: // 200, whatever it is
	case Deletes:
		if own = t.Codes.Delete; !t.atOnce(Deletes) {
			common = http.StatusAccepted
		}
	}
	if own != 0 {
		return own
	}
	return common
}

// gone is what a DELETE of what is not there is answered.
func (t *Type) gone() int {
	if t.Codes.Gone != 0 {
		return t.Codes.Gone
	}
	return http.StatusNoContent
}

// atOnce reports whether what is done is over when it is answered.
func (t *Type) atOnce(v Verbs) bool { return t.AtOnce&v != 0 }

// knows reports whether a resource can be written that way. What is in its parent's document is put there whole.
func (t *Type) knows(method string) bool {
	no := t.No
	if t.Inside != "" {
		no |= Patches
	}
	switch method {
	case http.MethodPut:
		return no&Updates == 0
	case http.MethodPatch:
		return no&Patches == 0
	case http.MethodDelete:
		return no&Deletes == 0
	case http.MethodGet, http.MethodHead:
		return no&Reads == 0
	default:
		return true
	}
}

// code is what an action is answered.
func (a Action) code() int {
	switch {
	case a.Code != 0:
		return a.Code
	case a.Then != nil:
		return http.StatusAccepted
	default:
		return http.StatusOK
	}
}

// verbOf is the way a call writes.
func verbOf(method string, isNew bool) (v Verbs, name string) {
	switch {
	case isNew:
		return Creates, "create"
	case method == http.MethodPatch:
		return Patches, "update"
	default:
		return Updates, "update"
	}
}
