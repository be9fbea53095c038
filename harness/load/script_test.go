package load

import (
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// TestAnOlderRevisionIsALostWrite: of a key that is written again and again it is the last acknowledged write that must be there, or one after it.
func TestAnOlderRevisionIsALostWrite(t *testing.T) {
	s := newScript(nil)
	for _, revision := range []int64{2, 9, 5} { // acknowledged in another order than they were made
		s.wrote("a", revision)
	}
	s.wrote("b", 3)
	s.wrote("c", 4)
	s.deleted("c")
	at := func(key string, revision int64) *mvccpb.KeyValue {
		return &mvccpb.KeyValue{Key: []byte(key), ModRevision: revision}
	}
	for name, c := range map[string]struct {
		found []*mvccpb.KeyValue
		there []string
	}{
		"all":                     {[]*mvccpb.KeyValue{at("a", 9), at("b", 3), at("else", 7)}, []string{"a at revision 9", "b at revision 3"}},
		"a later write unheard":   {[]*mvccpb.KeyValue{at("a", 12), at("b", 3)}, []string{"a at revision 9", "b at revision 3"}},
		"the last write is gone":  {[]*mvccpb.KeyValue{at("a", 5), at("b", 3)}, []string{"b at revision 3"}},
		"the key is gone as well": {[]*mvccpb.KeyValue{at("b", 3)}, []string{"b at revision 3"}},
	} {
		written, there := entries(s.acked, c.found)
		if !slices.Equal(written, []string{"a at revision 9", "b at revision 3"}) || !slices.Equal(there, c.there) {
			t.Errorf("%s: %q, %q", name, written, there)
		}
	}
}
