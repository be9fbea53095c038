package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// exchange remembers the last answer as it was before the SDK read it.
type exchange struct {
	status int
	body   []byte
}

// Do is policy.Policy's.
func (e *exchange) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if err != nil {
		return resp, err
	}
	e.status = resp.StatusCode
	e.body, err = runtime.Payload(resp)
	return resp, err
}

// unknown are the fields of an answer that the SDK's model does not have: it is written again from the model and compared. An operation's status is
// no answer of the resource's.
func unknown(body []byte, model reflect.Value) []string {
	if !model.IsValid() || model.Kind() != reflect.Struct {
		return nil
	}
	again, err := json.Marshal(model.Interface())
	var was, is any
	if err != nil || json.Unmarshal(body, &was) != nil || json.Unmarshal(again, &is) != nil {
		return nil
	}
	if m, ok := was.(map[string]any); ok && m["status"] != nil && m["startTime"] != nil {
		return nil
	}
	found := map[string]bool{}
	compare("", was, is, found)
	return slices.Sorted(maps.Keys(found))
}

// lost are the fields of what a PUT sent that its answer does not have.
func (c *caller) lost(o operation) []string {
	sent, err := c.world.body(o)
	var was, is any
	if err != nil || len(c.seen.body) == 0 || json.Unmarshal(sent, &was) != nil || json.Unmarshal(c.seen.body, &is) != nil {
		return nil
	}
	found := map[string]bool{}
	compare("", was, is, found)
	return slices.Sorted(maps.Keys(found))
}

func compare(at string, was, is any, found map[string]bool) {
	switch w := was.(type) {
	case map[string]any:
		i, ok := is.(map[string]any)
		if !ok {
			return
		}
		for k, v := range w {
			if _, there := i[k]; !there && v != nil {
				found[at+"."+k] = true
				continue
			}
			compare(at+"."+k, v, i[k], found)
		}
	case []any:
		i, ok := is.([]any)
		if !ok || len(i) != len(w) {
			return
		}
		for n := range w {
			compare(at+"[]", w[n], i[n], found)
		}
	}
}
