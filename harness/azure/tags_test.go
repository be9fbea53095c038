package azure

import (
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

const tagsPath = "/providers/Microsoft.Resources/tags/default"

func TestTagsOfWhateverScope(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	vm := "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
	for _, scope := range []string{"", "resourceGroups/g", vm} {
		path := "/subscriptions/" + testSubscription + "/" + scope + tagsPath
		for _, x := range []struct{ method, body, want string }{
			{http.MethodPut, `{"properties":{"tags":{"a":"1","b":"2"}}}`, `{"a":"1","b":"2"}`},
			{http.MethodPatch, `{"operation":"Merge","properties":{"tags":{"B":"3","c":"4"}}}`, `{"a":"1","b":"3","c":"4"}`},
			{http.MethodPatch, `{"operation":"Delete","properties":{"tags":{"a":"1","b":"another","C":""}}}`, `{"b":"3"}`},
			{http.MethodPatch, `{"operation":"Replace","properties":{"tags":{"d":"5"}}}`, `{"d":"5"}`},
			{http.MethodDelete, "", `{}`},
			{http.MethodDelete, "", `{}`},
			{http.MethodPut, `{"properties":{"tags":{"z":"9"}}}`, `{"z":"9"}`},
		} {
			answer := c.want(http.StatusOK, x.method, path, x.body)
			now := c.want(http.StatusOK, http.MethodGet, path, "")
			if got := string(arm.Marshal(arm.At(now, "properties", "tags"))); got != x.want {
				t.Errorf("%q after %s %s: %s, want %s", scope, x.method, x.body, got, x.want)
			}
			if x.method != http.MethodDelete && string(arm.Marshal(answer)) != string(arm.Marshal(now)) {
				t.Errorf("answered %v and then %v", answer, now)
			}
			if arm.Text(now, "type") != "Microsoft.Resources/tags" || arm.Text(now, "name") != "default" {
				t.Errorf("%v", now)
			}
		}
		if scope != "" && arm.Text(c.want(http.StatusOK, http.MethodGet, scope, ""), "tags", "z") != "9" {
			t.Errorf("%s has not the tags it was given", scope)
		}
		for _, bad := range []string{`{"operation":"Add","properties":{"tags":{}}}`, `{"operation":"Merge","properties":{"tags":{"a":1}}}`} {
			if w := c.do(http.MethodPatch, path, bad); w.Code != http.StatusBadRequest {
				t.Errorf("%s: %d %s", bad, w.Code, w.Body)
			}
		}
	}
	for path, want := range map[string]string{"resourceGroups/none" + tagsPath: "ResourceGroupNotFound", "resourceGroups/g/providers/Microsoft.Compute/disks/none" + tagsPath: "ResourceNotFound", "providers/Microsoft.Resources/tags/other": "ResourceNotFound"} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			if w := c.do(method, path, `{"operation":"Merge","properties":{"tags":{"a":"1"}}}`); code(w) != want {
				t.Errorf("%s %s: %d %s, want %s", method, path, w.Code, w.Body, want)
			}
		}
	}
	defer c.lock("/"+vm, "ReadOnly")()
	if w := c.do(http.MethodPatch, vm+tagsPath, `{"operation":"Merge","properties":{"tags":{"a":"1"}}}`); code(w) != "ScopeLocked" {
		t.Errorf("of what is locked: %d %s", w.Code, w.Body)
	}
	if again := c.again().want(http.StatusOK, http.MethodGet, tagsPath[1:], ""); arm.Text(again, "properties", "tags", "z") != "9" {
		t.Errorf("the subscription's tags are not saved: %v", again)
	}
}

func TestADeploymentTagsItsGroup(t *testing.T) {
	c := newClient(t)
	c.group()
	d := c.endedDeployment("Incremental", `[{"type":"Microsoft.Resources/tags","apiVersion":"2021-04-01","name":"default","properties":{"tags":{"a":"b"}}}]`)
	if arm.Text(d, "properties", "provisioningState") != "Succeeded" {
		t.Errorf("%v", d)
	}
	if got := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g", ""); arm.Text(got, "tags", "a") != "b" {
		t.Errorf("%v", got)
	}
}

func TestADeploymentMakesNoViews(t *testing.T) {
	c := newClient(t)
	c.group()
	for _, typ := range []string{"Microsoft.Authorization/permissions", "Microsoft.Compute/skus"} {
		d := c.endedDeployment("Incremental", `[{"type":"`+typ+`","apiVersion":"2021-04-01","name":"x","properties":{}}]`)
		if arm.Text(d, "properties", "provisioningState") != "Failed" || !strings.Contains(string(arm.Marshal(d)), "MethodNotAllowed") {
			t.Errorf("%s: %v", typ, d)
		}
	}
}

func TestNamesOfTagsAreCounted(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope","tags":{"Team":"a"}}`)
	c.want(http.StatusCreated, http.MethodPut, "tagNames/stage", "")
	c.want(http.StatusOK, http.MethodPut, "tagNames/stage", "")
	c.want(http.StatusCreated, http.MethodPut, "tagNames/stage/tagValues/test", "")
	c.want(http.StatusOK, http.MethodPut, "tagNames/stage/tagValues/test", "")
	c.want(http.StatusCreated, http.MethodPut, "tagNames/team", "")
	names := arm.Objects(c.want(http.StatusOK, http.MethodGet, "tagNames", ""), "value")
	if len(names) != 2 || arm.Text(names[0], "tagName") != "Team" && arm.Text(names[0], "tagName") != "stage" {
		t.Errorf("%v", names)
	}
	for _, n := range names {
		count, _ := arm.Number(arm.At(n, "count", "value"))
		if want := map[string]float64{"stage": 0, "team": 1, "Team": 1}[arm.Text(n, "tagName")]; count != want || len(arm.Objects(n, "values")) != 1 {
			t.Errorf("%v", n)
		}
	}
	for path, want := range map[string]int{"tagNames/stage": http.StatusConflict, "tagNames/team": http.StatusConflict, "tagNames/none": http.StatusNoContent} {
		if w := c.do(http.MethodDelete, path, ""); w.Code != want {
			t.Errorf("DELETE %s: %d %s", path, w.Code, w.Body)
		}
	}
	c.want(http.StatusOK, http.MethodDelete, "tagNames/stage/tagValues/test", "")
	c.want(http.StatusNoContent, http.MethodDelete, "tagNames/stage/tagValues/test", "")
	c.want(http.StatusOK, http.MethodDelete, "tagNames/stage", "")
	if w := c.do(http.MethodPut, "tagNames/stage/tagValues/test", ""); w.Code != http.StatusNotFound {
		t.Errorf("a value of a name that is not there: %d", w.Code)
	}
}
