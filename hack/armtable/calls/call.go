package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// The ways a call ends.
const (
	passed     = "passed"
	refused    = "refused"    // by an error of ARM's form, for what was asked
	unanswered = "unanswered" // the twin has no such type or action
	failed     = "failed"     // an unexpected status, a body that could not be decoded, an error of another form
)

// record is what became of a call.
type record struct {
	Operation string   `json:"operation"`
	Verb      string   `json:"verb"`
	Path      string   `json:"path"`
	Again     bool     `json:"again,omitempty"`
	Outcome   string   `json:"outcome"`
	Status    int      `json:"status,omitempty"` // the last one
	Code      string   `json:"code,omitempty"`
	Error     string   `json:"error,omitempty"`
	Unknown   []string `json:"unknown,omitempty"` // fields answered that the SDK's model has not
	Lost      []string `json:"lost,omitempty"`    // fields of a PUT that were not answered
}

// caller has every client of the SDK.
type caller struct {
	ready   ready
	world   *world
	table   map[string]operation
	make    map[string]func() (any, error)
	clients map[string]reflect.Value
	seen    *exchange
}

func newCaller(r ready, w *world, table []operation) (*caller, error) {
	c := &caller{ready: r, world: w, table: map[string]operation{}, clients: map[string]reflect.Value{}, seen: &exchange{}}
	for _, o := range table {
		c.table[o.name()] = o
	}
	cred, options, err := r.credentials(c.seen)
	if err != nil {
		return nil, err
	}
	c.make = constructors(r.Subscription, cred, options)
	return c, nil
}

// call makes a call and follows it to its end.
func (c *caller) call(ctx context.Context, o operation) (r record) {
	r = record{Operation: o.name(), Verb: o.verb, Path: o.path, Again: o.again}
	*c.seen = exchange{}
	defer func() {
		if p := recover(); p != nil { // the SDK trusts what it is answered
			r.Outcome, r.Error = failed, fmt.Sprint("panic: ", p)
		}
		r.Status = c.seen.status
	}()
	out, err := c.complete(ctx, o)
	var answer *azcore.ResponseError
	switch {
	case err == nil && o.verb == http.MethodHead && !out.FieldByName("Success").Bool():
		r.Outcome = unanswered
	case err == nil:
		r.Outcome, r.Unknown = passed, unknown(c.seen.body, out)
		if o.verb == http.MethodPut {
			r.Lost = c.lost(o)
		}
	case !errors.As(err, &answer):
		r.Outcome, r.Error = failed, err.Error()
	default:
		r.Outcome, r.Code, r.Error = c.judge(answer), answer.ErrorCode, message(c.seen.body)
	}
	return r
}

// judge tells a refusal from an answer that the SDK does not take.
func (c *caller) judge(e *azcore.ResponseError) string {
	switch {
	case e.ErrorCode == "AuthorizationFailed", e.StatusCode == http.StatusForbidden && e.RawResponse.Request.Method == http.MethodHead: // above subscriptions nobody may do anything: there is nothing
		return unanswered
	case e.StatusCode < 400 || e.StatusCode >= 500 || e.ErrorCode == "" || message(c.seen.body) == "":
		return failed
	case slices.Contains([]string{"InvalidResource", "InvalidResourceType", "InvalidResourceNamespace", "InvalidAction"}, e.ErrorCode) || e.StatusCode == http.StatusMethodNotAllowed:
		return unanswered
	default:
		return refused
	}
}

// message is the one that every error of ARM has.
func message(body []byte) string {
	var e struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(body, &e) != nil || e.Error.Code == "" {
		return ""
	}
	return e.Error.Message
}

func (c *caller) client(name string) (reflect.Value, error) {
	if v, ok := c.clients[name]; ok {
		return v, nil
	}
	made, ok := c.make[name]
	if !ok {
		return reflect.Value{}, fmt.Errorf("no client %s: run armtable again", name)
	}
	client, err := made()
	if err != nil {
		return reflect.Value{}, err
	}
	c.clients[name] = reflect.ValueOf(client)
	return c.clients[name], nil
}

// complete makes a call and goes through its pages or polls. Some make sense only while another goes on: that one is begun and left alone.
func (c *caller) complete(ctx context.Context, o operation) (reflect.Value, error) {
	if other, ok := c.world.During[o.name()]; ok {
		if _, err := c.invoke(ctx, c.table[other]); err != nil {
			return reflect.Value{}, fmt.Errorf("%s, for %s: %w", other, o.name(), err)
		}
	}
	out, err := c.invoke(ctx, o)
	switch {
	case err != nil:
		return out, err
	case strings.HasPrefix(o.form, "lro"):
		result, err := c.poll(ctx, out)
		if err == nil && strings.HasSuffix(o.form, "+page") {
			return pages(ctx, result)
		}
		return result, err
	case o.form == "page":
		return pages(ctx, out)
	default:
		return out, nil
	}
}

// invoke calls the SDK's method with the arguments of the world.
func (c *caller) invoke(ctx context.Context, o operation) (reflect.Value, error) {
	client, err := c.client(o.client)
	if err != nil {
		return reflect.Value{}, err
	}
	method := client.MethodByName(o.method)
	if !method.IsValid() {
		return reflect.Value{}, fmt.Errorf("no method %s: run armtable again", o.name())
	}
	in, err := c.arguments(ctx, o, method.Type())
	if err != nil {
		return reflect.Value{}, err
	}
	out := method.Call(in)
	if len(out) == 2 && !out[1].IsNil() {
		return out[0], out[1].Interface().(error)
	}
	return out[0], nil
}

// arguments are the method's: the context, those of the table, and no options.
func (c *caller) arguments(ctx context.Context, o operation, t reflect.Type) ([]reflect.Value, error) {
	var in []reflect.Value
	rest := o.args
	for i := range t.NumIn() {
		at := t.In(i)
		switch {
		case i == 0 && at.Kind() == reflect.Interface:
			in = append(in, reflect.ValueOf(ctx))
			continue
		case len(rest) == 0:
			in = append(in, reflect.Zero(at))
			continue
		}
		v, err := c.argument(ctx, o, rest[0], at)
		if err != nil {
			return nil, fmt.Errorf("argument %s of %s: %w", rest[0], o.name(), err)
		}
		in, rest = append(in, v), rest[1:]
	}
	return in, nil
}

func (c *caller) argument(ctx context.Context, o operation, name string, t reflect.Type) (reflect.Value, error) {
	v := reflect.New(t)
	if t.Kind() == reflect.Interface && t.NumMethod() > 0 { // one of several models: none
		return v.Elem(), nil
	}
	if strings.HasPrefix(name, "=") {
		raw, err := c.world.body(o)
		if err != nil {
			return v, err
		}
		return v.Elem(), json.Unmarshal(raw, v.Interface())
	}
	value, given := c.world.value(o, strings.Trim(name, "{}?!"))
	if !given && t.Kind() != reflect.String {
		return v.Elem(), nil
	}
	if of, ok := value.(map[string]any); ok {
		value = c.found(ctx, of)
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return v, err
	}
	return v.Elem(), json.Unmarshal(raw, v.Interface())
}

// found is a value that only the twin knows: a field of the first resource of a list.
func (c *caller) found(ctx context.Context, of map[string]any) any {
	list, _ := of["list"].(string)
	field, _ := of["field"].(string)
	var page struct{ Value []map[string]any }
	if _, err := c.complete(ctx, c.table[list]); err != nil || json.Unmarshal(c.seen.body, &page) != nil || len(page.Value) == 0 {
		return "none"
	}
	return page.Value[0][field]
}

// pages reads a list to its end.
func pages(ctx context.Context, pager reflect.Value) (reflect.Value, error) {
	var last reflect.Value
	for range 100 {
		if last.IsValid() && !pager.MethodByName("More").Call(nil)[0].Bool() {
			return last, nil
		}
		out := pager.MethodByName("NextPage").Call([]reflect.Value{reflect.ValueOf(ctx)})
		if !out[1].IsNil() {
			return out[0], out[1].Interface().(error)
		}
		last = out[0]
	}
	return last, errors.New("a list of more than 100 pages")
}

// poll follows an operation: one look while it runs, one when it has ended, and the result from where the SDK looks for it.
func (c *caller) poll(ctx context.Context, poller reflect.Value) (reflect.Value, error) {
	here := []reflect.Value{reflect.ValueOf(ctx)}
	for range 100 {
		if poller.MethodByName("Done").Call(nil)[0].Bool() {
			out := poller.MethodByName("Result").Call(here)
			if !out[1].IsNil() {
				return out[0], out[1].Interface().(error)
			}
			return out[0], nil
		}
		if out := poller.MethodByName("Poll").Call(here); !out[1].IsNil() {
			return reflect.Value{}, out[1].Interface().(error)
		}
		if err := c.ready.advance(ctx); err != nil {
			return reflect.Value{}, err
		}
	}
	return reflect.Value{}, errors.New("an operation that does not end in 100 hours")
}
