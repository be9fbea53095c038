package state

import (
	"maps"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// namesIn are the keys of the resources that a document names, each once: every text in it that is a path, but its own and those below it.
func namesIn(own string, body map[string]any) []string {
	var out []string
	var look func(v any)
	look = func(v any) {
		switch x := v.(type) {
		case map[string]any:
			for _, e := range x {
				look(e)
			}
		case []any:
			for _, e := range x {
				look(e)
			}
		case string:
			if len(x) < len(subscriptions) || !strings.EqualFold(x[:len(subscriptions)], subscriptions) {
				return
			}
			if key := strings.ToLower(x); key != own && !strings.HasPrefix(key, own+"/") {
				out = append(out, key)
			}
		}
	}
	look(body)
	slices.Sort(out)
	return slices.Compact(out)
}

// subscriptions begins the path of everything that is in one.
const subscriptions = "/subscriptions/"

// rename keeps the table of who names whom, when a document takes the place of another; nil: there was none, or there is none any more.
func (s *documents) rename(key string, old, now *Document) {
	if old != nil {
		for _, to := range old.names {
			if delete(s.named[to], key); len(s.named[to]) == 0 {
				delete(s.named, to)
			}
		}
	}
	if now != nil {
		for _, to := range now.names {
			if s.named[to] == nil {
				s.named[to] = map[string]struct{}{}
			}
			s.named[to][key] = struct{}{}
		}
	}
}

// naming lists the documents that name a resource.
func (s *documents) naming(id arm.ID) []*Document {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ordered(slices.Collect(maps.Keys(s.named[id.Key()])))
}
