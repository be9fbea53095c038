package load

import (
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// TestAnOlderRevisionIsALostWrite: of a key that is written again and again it is the last acknowledged change that must be there, or one after it; and what
// was deleted must not come back.
func TestAnOlderRevisionIsALostWrite(t *testing.T) {
	s := newScript(nil)
	for _, revision := range []int64{2, 9, 5} { // acknowledged in another order than they were made
		s.changed(Event{Revision: revision, Key: "a"})
	}
	s.changed(Event{Revision: 3, Key: "b"})
	s.changed(Event{Revision: 6, Key: "d"})
	s.changed(Event{Revision: 7, Key: "d", Deleted: true})
	at := func(key string, revision int64) *mvccpb.KeyValue {
		return &mvccpb.KeyValue{Key: []byte(key), ModRevision: revision}
	}
	a, b, d := "the put of a at revision 9", "the put of b at revision 3", "the delete of d at revision 7"
	for name, c := range map[string]struct {
		found []*mvccpb.KeyValue
		there []string
	}{
		"all":                       {[]*mvccpb.KeyValue{at("a", 9), at("b", 3), at("else", 7)}, []string{a, b, d}},
		"a later write unheard":     {[]*mvccpb.KeyValue{at("a", 12), at("b", 3)}, []string{a, b, d}},
		"the last write is gone":    {[]*mvccpb.KeyValue{at("a", 5), at("b", 3)}, []string{b, d}},
		"the key is gone as well":   {[]*mvccpb.KeyValue{at("b", 3)}, []string{b, d}},
		"the deleted key is back":   {[]*mvccpb.KeyValue{at("a", 9), at("b", 3), at("d", 6)}, []string{a, b}},
		"written after it, unheard": {[]*mvccpb.KeyValue{at("a", 9), at("b", 3), at("d", 8)}, []string{a, b, d}},
	} {
		done, there := entries(s.acked, s.unsure, c.found)
		if !slices.Equal(done, []string{a, b, d}) || !slices.Equal(there, c.there) {
			t.Errorf("%s: %q, %q", name, done, there)
		}
	}
}

// TestADeleteWithoutAnAnswer may be done before a write that was acknowledged, after it, or never: the key may be there or not, and never as it was before the write.
func TestADeleteWithoutAnAnswer(t *testing.T) {
	const put, deleted = "the put of a at revision 5", "the delete of a at revision 5"
	for name, c := range map[string]struct {
		deleted     bool // by the change that was acknowledged
		at          int64
		done, there []string
	}{
		"it was done after the write, or the write is lost": {false, 0, nil, nil},
		"it was not done, or before the write":              {false, 5, []string{put}, []string{put}},
		"the write is lost":                                 {false, 4, []string{put}, nil},
		"another delete was acknowledged":                   {true, 0, []string{deleted}, []string{deleted}},
		"and what it deleted is back":                       {true, 4, []string{deleted}, nil},
	} {
		for _, order := range []string{"unheard first", "acknowledged first"} {
			s, acknowledged := newScript(nil), Event{Revision: 5, Key: "a", Deleted: c.deleted}
			if order == "unheard first" {
				s.unheard("a")
				s.changed(acknowledged)
			} else {
				s.changed(acknowledged)
				s.unheard("a")
			}
			var found []*mvccpb.KeyValue
			if c.at > 0 {
				found = append(found, &mvccpb.KeyValue{Key: []byte("a"), ModRevision: c.at})
			}
			if done, there := entries(s.acked, s.unsure, found); !slices.Equal(done, c.done) || !slices.Equal(there, c.there) {
				t.Errorf("%s, %s: %q, %q; want %q, %q", name, order, done, there, c.done, c.there)
			}
		}
	}
}
