package azure

import (
	"path"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// polled is an operation as policies name it.
func polled(op state.Operation) string {
	if action, is := strings.CutPrefix(op.Verb, "action/"); is {
		return "POST " + op.Target.Type() + "/" + action
	}
	return strings.ToUpper(op.Verb) + " " + op.Target.Type()
}

// selectsThing reports whether a call is about a resource that the fault is of, and a poll where it is of polls.
func (f *Fault) selectsThing(c *arm.Call) bool {
	switch {
	case f.Polls && !c.Poll:
		return false
	case f.Resource == "":
		return true
	}
	pattern, thing := strings.ToLower(f.Resource), strings.ToLower(c.Thing())
	if !strings.Contains(pattern, "/") {
		thing = path.Base(thing)
	}
	fits, _ := path.Match(pattern, thing) // Check has tried the pattern
	return fits
}
