package state

import (
	"encoding/json"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"drydock.dev/drydock/harness/azure/arm"
)

// Document is one resource: the JSON that a GET answers, kept as bytes so that reading it costs nothing.
type Document struct {
	ID     arm.ID
	Raw    []byte
	Hidden map[string]any // what the twin keeps with it and no client sees: names that begin with hiddenPrefix
	Region string         // its location, by the name that it is known by; empty: it has none
	etag   uint64
	tagged bool     // it carries its etag, and so does everything in it that has one
	names  []string // the keys of the resources it names
}

// HiddenPrefix begins the names of fields that are kept with a document and no client sees.
const HiddenPrefix = "drydock"

// ETag is the document's, as headers have it; one that its document carries, as the document has it.
func (d *Document) ETag() string {
	if d.tagged {
		return "W/" + d.strong()
	}
	return d.strong()
}

func (d *Document) strong() string { return `"` + strconv.FormatUint(d.etag, 16) + `"` }

// Has reports whether an If-Match names the document as it is: to whoever compares, a weak tag is as good.
func (d *Document) Has(tag string) bool { return strings.TrimPrefix(tag, "W/") == d.strong() }

// documents are those there are. They are replaced and never changed: whoever has one may read it without a lock.
type documents struct {
	mu    sync.RWMutex
	docs  map[string]*Document
	kinds map[string][]string            // subscription + type, lower case -> sorted keys
	named map[string]map[string]struct{} // key -> the keys of the documents that name it, whether it is there or not
	etags atomic.Uint64
}

func newDocuments() documents {
	return documents{docs: map[string]*Document{}, kinds: map[string][]string{}, named: map[string]map[string]struct{}{}}
}

func kindOf(id arm.ID) string { return strings.ToLower(id.Subscription + " " + id.Type()) }

func (s *documents) get(id arm.ID) *Document { return s.at(id.Key()) }

func (s *documents) at(key string) *Document {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.docs[key]
}

// etagTag is where a saved document has its etag.
const etagTag = HiddenPrefix + "Etag"

// Saved is the document with all that is kept with it, for Restore.
func (d *Document) Saved() json.RawMessage {
	body := d.Body()
	body[etagTag] = d.etag
	raw, err := json.Marshal(body)
	if err != nil {
		return d.Raw
	}
	return raw
}

// numbered is the next etag, or one that a document had; none is given twice.
func (s *documents) numbered(had uint64) uint64 {
	if had == 0 {
		return s.etags.Add(1)
	}
	for {
		last := s.etags.Load()
		if last >= had || s.etags.CompareAndSwap(last, had) {
			return had
		}
	}
}

// put stores a document. properties must be JSON-able: it came from JSON.
func (s *documents) put(id arm.ID, body map[string]any) *Document { return s.store(id, body, 0) }

// restore stores a document that was saved, with the etag it had; one that somebody has written by hand gets one.
func (s *documents) restore(id arm.ID, body map[string]any) *Document {
	etag, _ := body[etagTag].(float64)
	delete(body, etagTag)
	return s.store(id, body, uint64(etag))
}

func (s *documents) store(id arm.ID, body map[string]any, etag uint64) *Document {
	var hidden map[string]any
	for k, v := range body {
		if strings.HasPrefix(k, HiddenPrefix) {
			if hidden == nil {
				hidden = map[string]any{}
				body = maps.Clone(body)
			}
			hidden[k] = v
			delete(body, k)
		}
	}
	key, kind := id.Key(), kindOf(id)
	d := &Document{ID: id, Hidden: hidden, Region: arm.Location(arm.Text(body, "location")), etag: s.numbered(etag), names: namesIn(key, body)}
	if _, d.tagged = body["etag"]; d.tagged { // documents that carry their etag are written back with it in If-Match
		tag(body, d.ETag())
	}
	var err error
	if d.Raw, err = json.Marshal(body); err != nil {
		d.Raw = []byte("{}")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, there := s.docs[key]
	if !there {
		keys := s.kinds[kind]
		i := sort.SearchStrings(keys, key)
		s.kinds[kind] = slices.Insert(keys, i, key)
	}
	s.rename(key, old, d)
	s.docs[key] = d
	return d
}

// tag writes an etag wherever a document has one: what is in an array of its parent changes with its parent.
func tag(v any, etag string) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			switch k {
			case "etag":
				x[k] = etag
			case "tags": // are a client's own, whatever their names
			default:
				tag(e, etag)
			}
		}
	case []any:
		for _, e := range x {
			tag(e, etag)
		}
	}
}

func (s *documents) remove(id arm.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, kind := id.Key(), kindOf(id)
	old, there := s.docs[key]
	if !there {
		return
	}
	s.rename(key, old, nil)
	delete(s.docs, key)
	keys := s.kinds[kind]
	if i := sort.SearchStrings(keys, key); i < len(keys) && keys[i] == key {
		if s.kinds[kind] = slices.Delete(keys, i, i+1); len(s.kinds[kind]) == 0 {
			delete(s.kinds, kind)
		}
	}
}

// list gives a page of a collection: of a subscription, a resource group or a parent resource, after a key; next is the key to go on after,
// empty at the end.
func (s *documents) list(collection arm.ID, after string, page int) (out []*Document, next string) {
	prefix := strings.ToLower(collection.String()) + "/"
	if collection.ResourceGroup == "" && collection.Scope == "" {
		prefix = "" // the whole subscription's
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	keys := s.kinds[kindOf(collection)]
	for i := sort.SearchStrings(keys, max(prefix, after)); i < len(keys); i++ {
		switch {
		case keys[i] == after:
			continue
		case !strings.HasPrefix(keys[i], prefix):
			return out, ""
		case len(out) == page:
			return out, out[len(out)-1].ID.Key()
		}
		out = append(out, s.docs[keys[i]])
	}
	return out, ""
}

// called finds a resource of a type by its name, or by no name any: the first in order. It goes from one parent to the next, and not through what is in it.
func (s *documents) called(typ, name string) (found *Document) {
	suffix, name := " "+strings.ToLower(typ), strings.ToLower(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	best := ""
	for kind, keys := range s.kinds {
		if !strings.HasSuffix(kind, suffix) {
			continue
		}
		for i := 0; i < len(keys); {
			parent := keys[i][:strings.LastIndexByte(keys[i], '/')+1]
			at := i
			if name != "" {
				at += sort.SearchStrings(keys[i:], parent+name)
			}
			if at < len(keys) && (name == "" || keys[at] == parent+name) {
				if best == "" || keys[at] < best {
					best = keys[at]
				}
				break
			}
			i += sort.SearchStrings(keys[i:], parent[:len(parent)-1]+"0") // the character after the slash
		}
	}
	return s.docs[best]
}

// everything gives a page of what is in a subscription or a resource group, of whichever type, as list does.
func (s *documents) everything(scope arm.ID, after string, page int) (out []*Document, next string) {
	prefix, subscription := "/subscriptions/"+strings.ToLower(scope.Subscription)+"/", strings.ToLower(scope.Subscription)+" "
	if scope.ResourceGroup != "" {
		prefix = arm.GroupID(scope).Key() + "/"
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []string // so many of each type as there may be on the page, and one more
	for kind, keys := range s.kinds {
		if !strings.HasPrefix(kind, subscription) {
			continue
		}
		for i, n := sort.SearchStrings(keys, max(prefix, after)), 0; i < len(keys) && n <= page && strings.HasPrefix(keys[i], prefix); i++ {
			if keys[i] != after {
				found, n = append(found, keys[i]), n+1
			}
		}
	}
	slices.Sort(found)
	if len(found) > page {
		found, next = found[:page], found[page-1]
	}
	return s.ordered(found), next
}

// below lists everything whose path begins with a resource's, in order.
func (s *documents) below(id arm.ID) []*Document {
	prefix, subscription := id.Key()+"/", strings.ToLower(id.Subscription)+" "
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []string
	for kind, keys := range s.kinds {
		if !strings.HasPrefix(kind, subscription) {
			continue
		}
		for i := sort.SearchStrings(keys, prefix); i < len(keys) && strings.HasPrefix(keys[i], prefix); i++ {
			found = append(found, keys[i])
		}
	}
	return s.ordered(found)
}

// all lists everything, for whoever saves the state.
func (s *documents) all() []*Document {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ordered(slices.Collect(maps.Keys(s.docs)))
}

// ordered are the documents of some keys, by their order.
func (s *documents) ordered(keys []string) []*Document {
	slices.Sort(keys)
	out := make([]*Document, len(keys))
	for i, key := range keys {
		out[i] = s.docs[key]
	}
	return out
}

// Snapshot is what there was at some time.
type Snapshot map[string]*Document

// Get finds a document of that time.
func (s Snapshot) Get(id arm.ID) *Document { return s[id.Key()] }

// List is a page of a collection of that time, as that of a View is.
func (s Snapshot) List(collection arm.ID, after string, page int) (out []*Document, next string) {
	return s.documents(func(kind string) bool { return kind == kindOf(collection) }).list(collection, after, page)
}

// Everything is a page of all there was, as that of a View is.
func (s Snapshot) Everything(scope arm.ID, after string, page int) (out []*Document, next string) {
	return s.documents(func(string) bool { return true }).everything(scope, after, page)
}

// documents are those of some kinds, to list.
func (s Snapshot) documents(wanted func(kind string) bool) *documents {
	then := &documents{docs: s, kinds: map[string][]string{}}
	for key, d := range s {
		if kind := kindOf(d.ID); wanted(kind) {
			then.kinds[kind] = append(then.kinds[kind], key)
		}
	}
	for _, keys := range then.kinds {
		slices.Sort(keys)
	}
	return then
}

// snapshot keeps what there is now.
func (s *documents) snapshot() Snapshot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.docs)
}

// size is how many there are.
func (s *documents) size() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.docs)
}

// Public is the document as clients see it.
func (d *Document) Public() map[string]any {
	var m map[string]any
	if json.Unmarshal(d.Raw, &m) != nil || m == nil {
		m = map[string]any{}
	}
	return m
}

// Body is the document to read and change, with what is hidden; the caller puts it back. Of a document that is gone it is empty: others delete while
// one looks.
func (d *Document) Body() map[string]any {
	if d == nil {
		return map[string]any{}
	}
	m := d.Public()
	maps.Copy(m, d.Hidden)
	return m
}
