package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drydock.dev/drydock/harness/azure/provider"
)

const (
	short = 40 * time.Second
	tries = 60 * time.Second
)

// of makes a cluster of so many masters, and one agent.
func of(t *testing.T, masters int) *Cluster {
	t.Helper()
	c := New(Options{Grace: short, Provisioning: tries})
	for i := range masters {
		create(t, c, master(i), "1.23.17")
	}
	create(t, c, "k8s-agents-0", "1.23.17")
	return c
}

func master(i int) string { return fmt.Sprintf("k8s-master-%d", i) }

func create(t *testing.T, c *Cluster, name, version string) {
	t.Helper()
	pool := "agents"
	if strings.Contains(name, "master") {
		pool = provider.MasterPool
	}
	if err := c.Create(t.Context(), provider.Machine{Name: name, Tags: map[string]string{provider.VersionTag: provider.VersionTagged(version), provider.PoolTag: pool}}); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, c *Cluster, name string) {
	t.Helper()
	if err := c.Delete(t.Context(), provider.Machine{Name: name}); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, c *Cluster, method, path string) (int, map[string]any) {
	t.Helper()
	return send(t, c, method, path, "")
}

func send(t *testing.T, c *Cluster, method, path, sent string) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(sent)))
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	return w.Code, body
}

// told is what a client is told of a node: whether it is Ready, and its version.
func told(t *testing.T, c *Cluster, name string) string {
	t.Helper()
	code, body := ask(t, c, http.MethodGet, "/api/v1/nodes/"+name)
	if code != http.StatusOK {
		return fmt.Sprint(code)
	}
	status := body["status"].(map[string]any)
	return fmt.Sprint(status["conditions"].([]any)[0].(map[string]any)["status"], " ", status["nodeInfo"].(map[string]any)["kubeletVersion"])
}

func TestItAnswersWhileAMajorityIsUp(t *testing.T) {
	for masters, mayLose := range map[int]int{1: 0, 3: 1, 5: 2} {
		c := of(t, masters)
		for lost := range masters {
			code, _ := ask(t, c, http.MethodGet, "/api/v1/nodes")
			if (code == http.StatusOK) != (lost <= mayLose) {
				t.Errorf("%d of %d masters lost: %d", lost, masters, code)
			}
			remove(t, c, master(lost))
		}
		if last := c.Changes()[len(c.Changes())-1]; last.Alive != 0 || last.Members != masters || last.Quorum {
			t.Errorf("the last change is %+v", last)
		}
	}
}

// What a tool trusts that asks a Node only: that of the machine before is Ready for a while, whatever became of the new one.
func TestANodeIsReadyForAWhileAfterItsKubelet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := of(t, 3)
		if got := told(t, c, master(0)); got != "True v1.23.17" {
			t.Fatal(got)
		}
		c.KubeletDies(master(0))
		remove(t, c, master(0))
		create(t, c, master(0), "1.24.17")
		if err := c.Extension(t.Context(), provider.Machine{Name: master(0)}, "cse-master-0"); err != nil {
			t.Fatal(err)
		}
		now := c.Nodes()[1]
		if now.Name != master(0) || now.Kubelet || !now.Told || now.Boot != 2 {
			t.Errorf("it is %+v", now)
		}
		<-time.After(short)
		if got := told(t, c, master(0)); !strings.HasPrefix(got, "Unknown") {
			t.Errorf("after its grace it is told %s", got)
		}
	})
}

func TestANewMachineTellsItsOwnVersion(t *testing.T) {
	c := of(t, 3)
	remove(t, c, "k8s-agents-0")
	if code, _ := ask(t, c, http.MethodDelete, "/api/v1/nodes/k8s-agents-0"); code != http.StatusOK {
		t.Fatal(code)
	}
	if got := told(t, c, "k8s-agents-0"); got != "404" {
		t.Errorf("a Node that was deleted is told %s", got)
	}
	create(t, c, "k8s-agents-0", "1.24.17")
	if got := told(t, c, "k8s-agents-0"); got != "True v1.24.17" {
		t.Error(got)
	}
	if code, _ := ask(t, c, http.MethodDelete, "/api/v1/nodes/k8s-agents-0"); code != http.StatusOK {
		t.Fatal(code)
	}
	if got := told(t, c, "k8s-agents-0"); got != "404" {
		t.Errorf("a kubelet that runs has registered again: %s", got)
	}
	_, list := ask(t, c, http.MethodGet, "/api/v1/nodes?labelSelector=node-role.kubernetes.io/master")
	if items := list["items"].([]any); len(items) != 3 {
		t.Errorf("%d masters", len(items))
	}
}

func TestTheProvisioningScriptOfAMasterNeedsAQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := of(t, 3)
		remove(t, c, master(1))
		remove(t, c, master(2))
		err := c.Extension(t.Context(), provider.Machine{Name: master(0)}, "cse-master-0")
		if err == nil || !strings.Contains(err.Error(), "1 of 3 members are up") {
			t.Errorf("without a quorum: %v", err)
		}
		if err := c.Extension(t.Context(), provider.Machine{Name: master(0)}, "computeAksLinuxBilling"); err != nil {
			t.Errorf("another extension: %v", err)
		}
		go func() {
			<-time.After(tries / 2)
			create(t, c, master(1), "1.23.17")
		}()
		if err := c.Extension(t.Context(), provider.Machine{Name: master(0)}, "cse-master-0"); err != nil {
			t.Errorf("with one that comes back meanwhile: %v", err)
		}
		if err := c.Extension(t.Context(), provider.Machine{Name: "nobody"}, "cse-master-9"); err == nil {
			t.Error("a machine that is not there was provisioned")
		}
	})
}

// A Node tells of the machine whose kubelet spoke last, and not of the one that is there.
func TestANodeTellsWhichMachineSpokeLast(t *testing.T) {
	c := of(t, 3)
	boot := func() string {
		_, body := ask(t, c, http.MethodGet, "/api/v1/nodes/"+master(0))
		return fmt.Sprint(body["status"].(map[string]any)["nodeInfo"].(map[string]any)["bootID"])
	}
	if got := boot(); got != BootID(master(0), 1) {
		t.Fatal(got)
	}
	remove(t, c, master(0))
	if got := boot(); got != BootID(master(0), 1) {
		t.Errorf("of a machine that is gone it tells %s", got)
	}
	create(t, c, master(0), "1.24.17")
	if got := boot(); got != BootID(master(0), 2) {
		t.Errorf("of the new machine it tells %s", got)
	}
}

func TestANodeIsPatched(t *testing.T) {
	c := of(t, 1)
	const node = "/api/v1/nodes/k8s-agents-0"
	for _, x := range []struct{ patch, cordoned, by string }{
		{`{"metadata":{"annotations":{"by":"us"}},"spec":{"unschedulable":true}}`, "true", "us"},
		{`{"metadata":{"annotations":{"by":null}},"spec":{"unschedulable":null}}`, "<nil>", "<nil>"},
	} {
		if code, _ := send(t, c, http.MethodPatch, node, x.patch); code != http.StatusOK {
			t.Fatal(code)
		}
		_, body := ask(t, c, http.MethodGet, node)
		meta := body["metadata"].(map[string]any)
		annotations, _ := meta["annotations"].(map[string]any)
		if got := fmt.Sprint(body["spec"].(map[string]any)["unschedulable"], " ", annotations["by"], " ", meta["name"]); got != x.cordoned+" "+x.by+" k8s-agents-0" {
			t.Errorf("after %s it is %s", x.patch, got)
		}
	}
}

func TestALeaseIsItsMakersUntilItIsDeleted(t *testing.T) {
	c := of(t, 1)
	const one = leases + "/claim"
	claim := func(holder string) int {
		code, _ := send(t, c, http.MethodPost, leases, `{"metadata":{"name":"claim"},"spec":{"holderIdentity":"`+holder+`"}}`)
		return code
	}
	if code := claim("a"); code != http.StatusCreated {
		t.Fatal(code)
	}
	if code := claim("b"); code != http.StatusConflict {
		t.Errorf("a second one was made: %d", code)
	}
	_, body := ask(t, c, http.MethodGet, one)
	uid := fmt.Sprint(body["metadata"].(map[string]any)["uid"])
	if code, _ := send(t, c, http.MethodDelete, one, `{"preconditions":{"uid":"another"}}`); code != http.StatusConflict {
		t.Errorf("it was deleted as another: %d", code)
	}
	if code, _ := send(t, c, http.MethodDelete, one, `{"preconditions":{"uid":"`+uid+`"}}`); code != http.StatusOK {
		t.Errorf("it was not deleted: %d", code)
	}
	if code, _ := ask(t, c, http.MethodGet, one); code != http.StatusNotFound {
		t.Errorf("it is still there: %d", code)
	}
	remove(t, c, master(0))
	if code := claim("c"); code != http.StatusInternalServerError {
		t.Errorf("without a quorum one was made: %d", code)
	}
}
