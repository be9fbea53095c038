package azure

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/identity"
	"drydock.dev/drydock/harness/azure/proxy"
	"drydock.dev/drydock/harness/azure/resource"
)

// ServeProxy opens the listeners of a proxy and returns when it answers. The twin gives it its policy, clock, faults and call log; it has no resources
// and answers nothing itself.
func (t *Twin) ServeProxy(ctx context.Context, o proxy.Options, l Listen) (_ *Server, err error) {
	if err := loopback(l.Address, l.AnyHost); err != nil {
		return nil, err
	}
	a, err := l.authority()
	if err != nil {
		return nil, err
	}
	o.AnyHost, o.TLS, o.Around, o.Now, o.Lost = l.AnyHost, a.config(), t.around, t.clock.Now, t.counted(o.Lost)
	o.Principal = func(h http.Header) string { return identity.PrincipalOf(h.Get("Authorization")) }
	p, err := proxy.New(o)
	if err != nil {
		return nil, err
	}
	s := &Server{CA: slices.Concat(a.pem, p.Trusted()), failed: make(chan error, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	front, err := listen(ctx, l.Address)
	if err != nil {
		return nil, err
	}
	controlled, err := s.startControl(ctx, t)
	if err != nil {
		return nil, errors.Join(err, front.Close())
	}
	ctx, s.end = context.WithCancel(ctx)
	handler, secure := p.Handler()
	scheme, server := "http://", &http.Server{Handler: handler, BaseContext: func(net.Listener) context.Context { return ctx }}
	if secure {
		scheme, server = "https://", &http.Server{Handler: handler, TLSConfig: a.config()}
	}
	s.start(front, server)
	s.Ready = Ready{
		Endpoint: scheme + front.Addr().String(), Authority: p.Tokens(scheme + front.Addr().String()), Tenant: t.options.Tenant, Subscription: t.options.Subscription,
		Control: controlled.url, ControlToken: controlled.token, CA: l.CAOut, PID: os.Getpid(),
	}
	if !secure {
		s.Ready.Proxy = s.Ready.Endpoint
	}
	return s, s.announce(l)
}

// counted counts the exchanges that could not be recorded, for the metrics.
func (t *Twin) counted(lost func(error)) func(error) {
	return func(err error) {
		t.lost.Add(1)
		if lost != nil {
			lost(err)
		}
	}
}

// around logs and counts what goes through a proxy.
func (t *Twin) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r := t.receive(w, hr)
		defer t.finish(r)
		if r.Call.Operation = identity.Operation(hr); r.Call.Beside() { // whose it is its body says, which is the real service's to read
			if !t.faults.beside(t, r) {
				next.ServeHTTP(r.w, hr)
			}
			return
		}
		if err := t.account(r); err != nil {
			err.Write(r.w)
			return
		}
		next.ServeHTTP(r.w, hr)
	})
}

// account counts the call on budgets as the gateway does, without holding it to them, and lets faults strike.
func (t *Twin) account(r *request) *arm.Error {
	id, ok := arm.ParseID(r.URL.Path)
	if !ok {
		return nil
	}
	r.ID, r.subject.Region = id, t.options.Region
	r.Call.Principal = identity.PrincipalOf(r.Header.Get("Authorization"))
	r.Call.Subscription, r.Call.Region, r.Call.APIVersion = id.Subscription, r.subject.Region, r.Param("api-version")
	r.subject.Subscription, r.subject.Principal = id.Subscription, r.Call.Principal
	if err := t.engine.Route(r.Request); err != nil {
		r.Type = &resource.Type{Name: id.Type()}
	}
	r.Call.Operation = t.engine.Operation(r.Request)
	f, err := t.faults.strike(t, r)
	if err != nil {
		return err
	}
	told := r.w.Header().Clone()
	over := t.draw(r, f)
	if over != nil && over.Forced {
		if e := t.refused(r, f, over); e != nil {
			return e
		}
		over = nil
	}
	clear(r.w.Header()) // what is left Azure itself tells
	maps.Copy(r.w.Header(), told)
	if over != nil {
		r.Call.Over = r.group(over)
	}
	return nil
}
