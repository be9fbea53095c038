package observe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"
)

// Objects is what an API server holds, field by field, without what the server and its components write for themselves (see normalise).
type Objects struct {
	Version string                       `json:"version"`          // of the API server that told
	Items   map[string]map[string]string `json:"items"`            // KIND[.GROUP] [NAMESPACE/]NAME -> field -> value as JSON
	Unread  map[string]string            `json:"unread,omitempty"` // KIND[.GROUP], .GROUP or an object -> why it could not be read
	Error   string                       `json:"error,omitempty"`  // why nothing could be read; Items says nothing then
}

// How long reading all objects may take, how many a page has and how many lists are under way at a time.
const (
	objectsFor   = 30 * time.Second
	objectsPage  = 500
	objectsLists = 8
)

// ReadObjects lists every listable resource at its preferred version. What could not be read is in the result.
func ReadObjects(ctx context.Context, config *rest.Config) *Objects {
	ctx, cancel := context.WithTimeout(ctx, objectsFor)
	defer cancel()
	o := &Objects{Items: map[string]map[string]string{}, Unread: map[string]string{}}
	if err := o.read(ctx, config); err != nil {
		o.Error = err.Error()
	}
	return o
}

func (o *Objects) read(ctx context.Context, config *rest.Config) error {
	found, err := discover(config)
	if err != nil {
		return err
	}
	o.Version = found.version
	maps.Copy(o.Unread, found.unread)
	found.each(ctx, func(r resource, items []unstructured.Unstructured, err error) {
		if err != nil {
			o.Unread[r.kind] = err.Error()
			return
		}
		for i := range items {
			o.add(r.kind, &items[i])
		}
	})
	return o.kubelets(ctx, found.client)
}

// served are the resources an API server has, at their preferred versions.
type served struct {
	version   string
	resources []resource
	unread    map[string]string // .GROUP -> why an aggregated API server does not say what it has
	client    rest.Interface
	objects   dynamic.Interface
}

func discover(config *rest.Config) (s served, err error) {
	config = rest.CopyConfig(config)
	config.Timeout = objectsFor // discovery takes no context
	config.WarningHandler = rest.NoWarnings{}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return s, fmt.Errorf("objects: %w", err)
	}
	v, err := found.ServerVersion()
	if err != nil {
		return s, fmt.Errorf("objects: the API server's version: %w", err)
	}
	s.version, s.client, s.unread = v.GitVersion, found.RESTClient(), map[string]string{}
	lists, err := found.ServerPreferredResources()
	var groups *discovery.ErrGroupDiscoveryFailed
	switch {
	case errors.As(err, &groups):
		for gv, why := range groups.Groups {
			s.unread["."+gv.Group] = why.Error()
		}
	case err != nil:
		return s, fmt.Errorf("objects: which resources there are: %w", err)
	}
	s.resources = listable(lists)
	if s.objects, err = dynamic.NewForConfig(config); err != nil {
		return s, fmt.Errorf("objects: %w", err)
	}
	return s, nil
}

// each lists all objects of every resource, several at a time, and gives one after another.
func (s served) each(ctx context.Context, take func(r resource, items []unstructured.Unstructured, err error)) {
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(objectsLists)
	for _, r := range s.resources {
		g.Go(func() error {
			items, err := listAll(ctx, s.objects.Resource(r.gvr))
			mu.Lock()
			defer mu.Unlock()
			take(r, items, err)
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
}

// kubelets adds every kubelet's configuration as it runs with it, which no object holds.
func (o *Objects) kubelets(ctx context.Context, client rest.Interface) error {
	for _, name := range slices.Collect(o.named("Node ")) {
		key := "KubeletConfig " + name
		raw, err := client.Get().AbsPath("/api/v1/nodes", name, "proxy/configz").DoRaw(ctx)
		var u map[string]any
		if err == nil {
			u, err = decode(raw)
		}
		if err != nil {
			o.Unread[key] = err.Error()
			continue
		}
		fields := map[string]string{}
		flatten("", u["kubeletconfig"], fields)
		o.Items[key] = fields
	}
	return nil
}

// named lists the names of objects of a kind.
func (o *Objects) named(prefix string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for key := range o.Items {
			if name, ok := strings.CutPrefix(key, prefix); ok && !yield(name) {
				return
			}
		}
	}
}

type resource struct {
	gvr  schema.GroupVersionResource
	kind string // with its group
}

// Resources that are not compared: their objects come and go with the time.
func passing(group, name string) bool {
	switch group + "/" + name {
	case "/events", "events.k8s.io/events", // deleted by their lease after an hour
		"/componentstatuses",                             // no objects, but a probe
		"certificates.k8s.io/certificatesigningrequests": // collected by the controller manager an hour after their approval
		return true
	}
	return group == "metrics.k8s.io" // measurements
}

func listable(lists []*metav1.APIResourceList) []resource {
	var out []resource
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range l.APIResources {
			if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "list") || passing(gv.Group, r.Name) {
				continue
			}
			kind := r.Kind
			if gv.Group != "" {
				kind += "." + gv.Group
			}
			out = append(out, resource{gv.WithResource(r.Name), kind})
		}
	}
	return out
}

func listAll(ctx context.Context, client dynamic.ResourceInterface) ([]unstructured.Unstructured, error) {
	var out []unstructured.Unstructured
	p := pager.New(func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
		return client.List(ctx, opts)
	})
	p.PageSize = objectsPage
	err := p.EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		u, ok := o.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("a %T in a list of objects", o)
		}
		out = append(out, *u)
		return nil
	})
	return out, err
}

func (o *Objects) add(kind string, u *unstructured.Unstructured) {
	name := u.GetName()
	if ns := u.GetNamespace(); ns != "" {
		name = ns + "/" + name
	}
	if !normalise(kind, u) {
		return
	}
	fields := map[string]string{}
	flatten("", u.Object, fields)
	o.Items[kind+" "+name] = fields
}

// hidden stands for a secret value: equal ones stay equal.
func hidden(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:8])
}
