package azure

// Type is a kind of resource and its rules. A plain one is a row of a table: its fields say all of it. Every hook is optional; those that write get a
// transaction over the subscription of the resource, and are alone in it.
type Type struct {
	name    string // with the case ARM writes it in
	located bool   // has a location
	single  bool   // one to a parent, without a name: GET only
	inside  string // the property of the parent's document that holds it: properties.subnets
	tagged  bool   // its document carries an etag

	// put does a PUT by itself.
	put func(tx *Tx, r *Request, body map[string]any) *Error
	// check says why a PUT or PATCH is refused; old is nil for a new resource.
	check func(tx *Tx, id ID, body, old map[string]any) *Error
	// fill adds to a document what the provider does.
	fill func(tx *Tx, id ID, body, old map[string]any)
	// made acts when the create or update has ended.
	made func(tx *Tx, id ID) *Error
	// held says why it cannot be deleted.
	held func(tx *Tx, id ID) *Error
	// gone acts when it was deleted; body is what it was.
	gone func(tx *Tx, id ID, body map[string]any)
	// actions are its POSTs, by their names in lower case.
	actions map[string]Action
	// show is the document of a single, or a view of another resource; nil: not there.
	show func(v View, id ID) map[string]any
}

// Action is a POST on a resource: it gives the answer at once, or an operation's end.
type Action struct {
	anew bool // the resource need not be there
	now  func(tx *Tx, r *Request, body map[string]any) (map[string]any, *Error)
	then func(tx *Tx, id ID, args map[string]any) *Error
}
