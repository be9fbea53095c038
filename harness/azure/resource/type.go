package resource

import (
	"encoding/json"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// Type is a kind of resource and its rules. A plain one is a row of a table: its fields say all of it. Every hook is optional; those that write get a
// transaction over the subscription of the resource, and are alone in it.
type Type struct {
	Name    string // with the case ARM writes it in
	Located bool   // has a location
	Global  bool   // is in no region: its location is global
	Single  bool   // one to a parent, without a name: GET only
	Inside  string // the property of the parent's document that holds it: properties.subnets
	Tagged  bool   // its document carries an etag
	Called  string // by its provider's errors: VM; empty: the last segment of its name
	Lenient bool   // its requests need not be JSON to the letter: arm.Lenient
	Bare    bool   // its list is an array, and not an object that has one
	All     bool   // it is no type: its collections are of every resource that has a location, in brief
	Wide    bool   // it is attached to a scope, and its lists have what is attached above and below
	Own     bool   // the list of a subscription has its own only, and not those of its groups
	Plain   bool   // its document has no provisioningState
	Given   bool   // another resource makes it: Check refuses a PUT of what is not there
	Returns bool   // a DELETE that is done at once answers what was deleted
	In      Realm  // where its paths begin: in subscriptions, unless it says otherwise

	Absent arm.Absence // what it is called when it is not there

	AtOnce Verbs // what is over when it is answered; the rest starts an operation
	No     Verbs // what its service does not know: 405
	Codes  Codes // that differ from the common ones

	// Defaults is what the service fills in where a client left it out, by path below the document, as in Ref.From.
	Defaults map[string]any
	// ReadOnly are properties that the service alone writes, of which the SDK's model does not say so: what a client sends there is not looked at.
	ReadOnly []string
	// Refs are what its documents name.
	Refs []Ref

	// Put does a PUT by itself.
	Put func(tx *Tx, r *Request, body map[string]any) *arm.Error
	// Rules say why a PUT or PATCH is refused, before Check: what a provider holds many types to. Of a child in a document they get the document.
	Rules []Rule
	// Check says why a PUT or PATCH is refused; old is nil for a new resource.
	Check Rule
	// Fill adds to a document what the provider does; to one inside its parent's only when it is put by itself.
	Fill func(tx *Tx, id arm.ID, body, old map[string]any)
	// Changed acts when a document is about to take the place of another, whether it or something in it was written; body is nil when it has gone.
	Changed func(tx *Tx, id arm.ID, body, old map[string]any)
	// Made acts when the create or update has ended.
	Made func(tx *Tx, id arm.ID) *arm.Error
	// Held says why it cannot be deleted.
	Held func(tx *Tx, id arm.ID) *arm.Error
	// Gone acts when it was deleted; body is what it was.
	Gone func(tx *Tx, id arm.ID, body map[string]any)
	// Actions are its POSTs, by their names in lower case.
	Actions map[string]Action
	// Loaded completes a document that somebody has written by hand for a twin to begin with.
	Loaded func(body map[string]any)
	// Save gives what is under way beside the document, nil: nothing is; Resume goes on with it in another process.
	Save   func(v View, id arm.ID) any
	Resume func(tx *Tx, id arm.ID, saved json.RawMessage) *arm.Error
	// View is what ?$expand=instanceView adds to its documents.
	View func(v View, id arm.ID) map[string]any
	// Aside is what is kept beside a document, by the name under which ?$expand shows it: its path below the document.
	Aside map[string]string
	// Show is the document of a single, or a view of another resource; nil: not there.
	Show func(v View, id arm.ID) map[string]any
	// Else is what a GET shows where there is no document: what is somewhere else, one or, of a collection, a list; nil: nothing.
	Else func(v View, id arm.ID) map[string]any
	// Ask is that for what depends on the query as well, or is refused in words of its own.
	Ask func(v View, id arm.ID, r *Request) (map[string]any, *arm.Error)
	// Write does the PUT, PATCH and DELETE of a view of another resource that can be written through it.
	Write func(tx *Tx, r *Request, body map[string]any) *arm.Error
}

// Rule says why a document may not take the place of another; old is nil: of none.
type Rule = func(tx *Tx, id arm.ID, body, old map[string]any) *arm.Error

// made reports whether it is made when somebody looks: nobody else makes it, and there is nothing to take away.
func (t *Type) made() bool { return t.Show != nil || t.Ask != nil }

// Writable reports whether somebody can make one, or change it.
func (t *Type) Writable() bool { return t.Write != nil || !t.made() }

// Takes reports whether a resource can be written by a method.
func (t *Type) Takes(method string) bool { return t.Writable() && t.knows(method) }

// Realm is where paths of a type begin.
type Realm uint8

// The realms there are.
const (
	InSubscription Realm = iota
	InTenant             // /providers/...
	InBoth
)

// within reports whether a path may be one of the type's.
func (t *Type) within(id arm.ID) bool {
	return t.In == InBoth || (t.In == InTenant) == (id.Subscription == "" && len(id.Types) > 0 && !strings.EqualFold(id.Types[0], "subscriptions"))
}

// Action is a POST on a resource: it gives the answer at once, or an operation's end.
type Action struct {
	Anew bool // the resource need not be there
	Code int  // that differs from the common one: 200 for an answer at once, 202 for an operation
	// Now answers at once; nil without an error: without a body.
	Now func(tx *Tx, r *Request, body map[string]any) (map[string]any, *arm.Error)
	// Check says why an operation is not begun.
	Check func(tx *Tx, id arm.ID, args map[string]any) *arm.Error
	Then  func(tx *Tx, id arm.ID, args map[string]any) *arm.Error
	// Result is what an operation leaves for who asks at its Location; without it, no body.
	Result func(v View, id arm.ID) map[string]any
}
