package observe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
)

// Everything is every object an API server has, as it gives it, by kind with its group. What passes by itself is left out, as events are.
type Everything struct {
	Version string // of the API server
	Kinds   map[string][]unstructured.Unstructured
}

// ReadEverything lists every listable resource at its preferred version. That one cannot be read is an error: it is not everything.
func ReadEverything(ctx context.Context, config *rest.Config) (*Everything, error) {
	found, err := discover(config)
	if err != nil {
		return nil, err
	}
	e := &Everything{Version: found.version, Kinds: map[string][]unstructured.Unstructured{}}
	unread := maps.Clone(found.unread)
	found.each(ctx, func(r resource, items []unstructured.Unstructured, err error) {
		if err != nil {
			unread[r.kind] = err.Error()
			return
		}
		e.Kinds[r.kind] = items
	})
	var bad []string
	for _, kind := range slices.Sorted(maps.Keys(unread)) {
		bad = append(bad, kind+": "+unread[kind])
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("objects: not all could be read: %s", strings.Join(bad, "; "))
	}
	return e, nil
}
