package load

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"drydock.dev/drydock/harness/observe"
)

// Existing is a workload of the user's own: a Service of the cluster that answers HTTP requests.
type Existing struct {
	Namespace string `yaml:"namespace"`
	Service   string `yaml:"service"`
	Path      string `yaml:"path"` // "/" by default
}

// Validate says what is wrong.
func (e *Existing) Validate() error {
	if why := validation.IsDNS1123Label(e.Namespace); len(why) > 0 {
		return fmt.Errorf("namespace %q: %s", e.Namespace, strings.Join(why, "; "))
	}
	if why := validation.IsDNS1123Label(e.Service); len(why) > 0 {
		return fmt.Errorf("service %q: %s", e.Service, strings.Join(why, "; "))
	}
	if e.Path != "" && !strings.HasPrefix(e.Path, "/") || strings.ContainsAny(e.Path, " \t\r\n") {
		return fmt.Errorf("path is %q; it begins with / and has no spaces", e.Path)
	}
	return nil
}

// existingRequest asks the nth of those that are ready behind the Service, as the Service would in turn; there is no second try.
func existingRequest(t *observe.Target) func(ctx context.Context, n int) error {
	get := getOnce(t.Cluster)
	return func(ctx context.Context, n int) error {
		endpoints := t.Service.Endpoints()
		if len(endpoints) == 0 {
			return fmt.Errorf("nobody behind service %s/%s is ready", t.Service.Namespace, t.Service.Name)
		}
		return get(ctx, "http://"+endpoints[n%len(endpoints)]+t.Service.Path)
	}
}
