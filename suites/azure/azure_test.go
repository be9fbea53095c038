// Package azure holds the twin of Azure Resource Manager to what real clients measure: the SDK's behaviour under throttling, exact budgets,
// and the errors of the command line.
package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gstruct"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/suites/bootstrap"
)

var (
	suite    bootstrap.Suite
	subjects = map[string]string{} // name -> program
)

func TestAzure(t *testing.T) { bootstrap.Run(t, "Azure", &suite) }

// build makes the SDK's program: a module of its own, so that what it imports is never linked into Drydock.
func build(ctx context.Context) {
	GinkgoHelper()
	const name = "azcore"
	if subjects[name] != "" {
		return
	}
	program := filepath.Join(suite.Host.StateDir, "subjects", name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	cmd.Dir = filepath.Join("..", "..", "hack", "subjects", name)
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	subjects[name] = program
}

// row is one line of what the SDK does under throttling, as it was measured against a server of a few lines.
type row struct {
	about    string
	fault    map[string]any // none: nothing is wrong
	form     string         // of the operation
	lasts    string         // the operation
	args     []string
	requests int     // of the SDK, tokens apart
	least    float64 // seconds
	most     float64
	failure  string // the code of the SDK's error; empty: it succeeds
}

var rows = []row{
	{"a GET, 429 for ever, Retry-After 1", map[string]any{"kind": "throttle", "retryAfter": 1}, "", "", []string{"get"}, 4, 3, 6.4, "OperationNotAllowed"},
	{"a GET, 429 for ever, Retry-After 61: beyond what the SDK waits", map[string]any{"kind": "throttle", "retryAfter": 61}, "", "", []string{"get"}, 1, 0, 10, "OperationNotAllowed"},
	{"a GET, 429 for ever, no Retry-After", map[string]any{"kind": "throttle", "retryAfter": -1}, "", "", []string{"get"}, 4, 6.5, 20, "OperationNotAllowed"},
	{"an operation by Azure-AsyncOperation, six polls 429, Retry-After 1", map[string]any{"kind": "throttle", "polls": true, "count": 6, "retryAfter": 1}, "async", "8s", []string{"delete"}, 5, 3, 8, "OperationNotAllowed"},
	{"an operation by Azure-AsyncOperation, polls 429, Retry-After 61", map[string]any{"kind": "throttle", "polls": true, "retryAfter": 61}, "async", "8s", []string{"delete"}, 2, 0, 10, "OperationNotAllowed"},
	{"an operation by Location, six polls 429, Retry-After 1", map[string]any{"kind": "throttle", "polls": true, "count": 6, "retryAfter": 1}, "location", "2s", []string{"delete"}, 8, 5, 15, ""},
	{"an operation by Location, polls 429, Retry-After 61: it waits as long as it may", map[string]any{"kind": "throttle", "polls": true, "retryAfter": 61}, "location", "2s", []string{"--for", "6s", "delete"}, 2, 5, 12, "deadline"},
}

var _ = Describe("the SDK under throttling", Ordered, Label("tier: quick", "needs: arm"), func() {
	results := make([]outcome, len(rows))
	errs := make([]error, len(rows))
	twins := make([]*twin, len(rows))

	BeforeAll(func(ctx context.Context) {
		build(ctx)
		var all sync.WaitGroup
		for i, r := range rows {
			t := start(1)
			twins[i] = t
			if r.form != "" {
				t.control(ctx, http.MethodPost, "operations", map[string]any{"type": "Microsoft.Compute/virtualMachines", "form": r.form, "lasts": r.lasts, "retryAfter": "-1s"}, nil)
			}
			t.control(ctx, http.MethodPost, "faults", r.fault, nil)
			all.Go(func() { results[i], errs[i] = t.drive(ctx, r.args...) })
		}
		all.Wait()
	}, NodeTimeout(10*time.Minute))

	for i, r := range rows {
		It(r.about, func(ctx context.Context) {
			Expect(errs[i]).NotTo(HaveOccurred())
			Expect(results[i].Error).To(Equal(r.failure))
			calls := twins[i].calls(ctx)
			Expect(calls).To(HaveLen(r.requests))
			Expect(results[i].Seconds).To(And(BeNumerically(">=", r.least), BeNumerically("<", r.most)))
		}, NodeTimeout(time.Minute))
	}

	It("and an operation whose client gave up goes on at the server", func(ctx context.Context) {
		c := twins[4].as(ctx, "somebody")
		Eventually(get).WithContext(ctx).WithArguments(c, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-00001").
			WithTimeout(30 * time.Second).WithPolling(500 * time.Millisecond).Should(HaveField("Status", http.StatusNotFound))
	}, NodeTimeout(time.Minute))
})

var _ = Describe("without a fault", Label("tier: quick", "needs: arm"), func() {
	It("the SDK reads, lists 10,000 machines by pages, deletes one, makes and deletes an address, and is not told to wait", func(ctx context.Context) {
		build(ctx)
		t := start(10_000)
		t.control(ctx, http.MethodPost, "operations", map[string]any{"type": "Microsoft.Compute/virtualMachines", "lasts": "1s", "retryAfter": "-1s"}, nil)
		Expect(t.drive(ctx, "get")).To(HaveField("Error", BeEmpty()))
		Expect(t.drive(ctx, "list")).To(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{"Error": BeEmpty(), "Items": Equal(10_000), "Pages": Equal(100)}))
		Expect(t.drive(ctx, "delete")).To(HaveField("Error", BeEmpty()))
		t.control(ctx, http.MethodPost, "operations", map[string]any{"type": "Microsoft.Network/publicIPAddresses", "lasts": "500ms", "retryAfter": "-1s"}, nil)
		Expect(t.drive(ctx, "address")).To(HaveField("Error", BeEmpty()), "a public IP address is made, read, changed and deleted")
		Expect(t.calls(ctx)).NotTo(ContainElement(HaveField("Status", BeNumerically(">=", 400))))
	}, NodeTimeout(5*time.Minute))
})

var _ = Describe("a clock that runs faster than the wall's", Label("tier: quick", "needs: arm"), func() {
	It("is not the one the SDK's token lives by: it polls for five hours of the twin's and is never refused", func(ctx context.Context) {
		build(ctx)
		t := start(1, "--clock", "3600")
		t.control(ctx, http.MethodPost, "operations", map[string]any{"type": "Microsoft.Compute/virtualMachines", "lasts": "5h"}, nil)
		Expect(t.drive(ctx, "delete")).To(HaveField("Error", BeEmpty()))
		calls := t.calls(ctx)
		Expect(calls[len(calls)-1].Time).To(BeTemporally(">", calls[0].Time.Add(2*time.Hour)), "longer than a token's 3599 seconds")
		Expect(calls).NotTo(ContainElement(HaveField("Status", http.StatusUnauthorized)))
	}, NodeTimeout(5*time.Minute))
})

var _ = Describe("a machine's life, by a clock that goes on as the SDK waits", Label("tier: quick", "needs: arm"), func() {
	walk := func(ctx context.Context, args []string, retryAfter string) (throttled, polls int) {
		build(ctx)
		t := start(0, "--clock", "virtual")
		if retryAfter != "" {
			t.control(ctx, http.MethodPost, "operations", map[string]any{"type": "Microsoft.Compute/virtualMachines", "retryAfter": retryAfter}, nil)
		}
		Expect(t.drive(ctx, append([]string{"--virtual"}, append(args, "walk")...)...)).To(HaveField("Error", BeEmpty()))
		for _, c := range t.calls(ctx) {
			if c.Poll {
				polls++
			}
			if c.Poll && c.Status == http.StatusTooManyRequests {
				throttled++
			}
		}
		return throttled, polls
	}
	It("meets no 429 from its polls: the twin tells how long to wait, as Azure does", func(ctx context.Context) {
		throttled, polls := walk(ctx, []string{"--frequency", "0s"}, "")
		Expect(polls).To(BeNumerically(">=", 8), "every operation is polled")
		Expect(throttled).To(BeZero())
	}, NodeTimeout(5*time.Minute))

	It("meets many where nothing is told and a client asks every second", func(ctx context.Context) {
		throttled, _ := walk(ctx, []string{"--frequency", "1s"}, "-1s")
		Expect(throttled).To(BeNumerically(">", 10))
	}, NodeTimeout(5*time.Minute))
})

var _ = Describe("the control listener", Label("tier: quick", "needs: arm"), func() {
	It("is for the owner of the ready file", func(ctx context.Context) {
		t := start(0)
		Expect(os.Stat(t.file("ready.json"))).To(HaveField("Mode()", os.FileMode(0o600)))
		t.control(ctx, http.MethodGet, "faults", nil, nil)
		stranger := t.Ready
		stranger.ControlToken = "guessed"
		Expect(stranger.AskControl(ctx, http.MethodPost, "faults", map[string]any{"kind": "reset"}, nil)).To(MatchError(ContainSubstring("401")))
		var faults []azure.Fault
		t.control(ctx, http.MethodGet, "faults", nil, &faults)
		Expect(faults).To(BeEmpty())
	}, NodeTimeout(time.Minute))
})

var _ = Describe("through the proxy", Label("tier: quick", "needs: arm"), func() {
	It("the SDK does the same, is counted and recorded without its secrets, and meets a fault", func(ctx context.Context) {
		build(ctx)
		real := start(3)
		real.control(ctx, http.MethodPost, "operations", map[string]any{"type": "Microsoft.Compute/virtualMachines", "lasts": "1s", "retryAfter": "-1s"}, nil)
		recording := filepath.Join(GinkgoT().TempDir(), "calls.jsonl")
		t := behind(real, "--record", recording)
		Expect(t.drive(ctx, "list")).To(HaveField("Items", 3))
		Expect(t.drive(ctx, "delete")).To(HaveField("Error", BeEmpty()))
		Expect(t.calls(ctx)).To(ContainElement(And(HaveField("Poll", true), HaveField("Status", http.StatusOK))), "polls lead through it as well")
		t.control(ctx, http.MethodPost, "faults", map[string]any{"kind": "throttle", "retryAfter": 61}, nil)
		Expect(t.drive(ctx, "get")).To(HaveField("Status", http.StatusTooManyRequests))
		Expect(real.calls(ctx)).NotTo(ContainElement(HaveField("Status", http.StatusTooManyRequests)), "the real endpoint knows nothing of it")
		raw, err := os.ReadFile(recording)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(raw)).NotTo(ContainSubstring("eyJ"), "the beginning of every token")
	}, NodeTimeout(5*time.Minute)) // it may be the first to build the SDK's program
})

var _ = Describe("cloud providers", Label("tier: full", "needs: subjects"), func() {
	It("meet the policy as arm-throttled-provider says", func(ctx context.Context) { suite.EndsGo(ctx, "arm-throttled-provider", experiment.Options{}) }, NodeTimeout(30*time.Minute))
	It("come through a fault as arm-throttled-fault says", func(ctx context.Context) { suite.EndsGo(ctx, "arm-throttled-fault", experiment.Options{}) }, NodeTimeout(30*time.Minute))
	It("are red when nothing is injected: arm-throttled-fault", func(ctx context.Context) {
		sc, err := experiment.Load("arm-throttled-fault")
		Expect(err).NotTo(HaveOccurred())
		res, err := suite.Run(ctx, sc, experiment.Options{NullFaults: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.Inconclusive))
	}, NodeTimeout(30*time.Minute))
})

var _ = Describe("budgets over TLS, the clock standing still", Label("tier: quick", "needs: arm"), func() {
	It("are exact for 64 clients at the same time, each principal apart", func(ctx context.Context) {
		t := start(0, "--clock", "virtual")
		const clients, each = 64, 10 // 640 calls of two principals: 250 of each pass
		var passed, throttled [2]atomic.Int64
		principals := []*azure.Client{t.as(ctx, "principal-0"), t.as(ctx, "principal-1")}
		var all sync.WaitGroup
		for n := range clients {
			all.Go(func() {
				for range each {
					var answer *arm.Error
					switch err := get(ctx, principals[n%2], "resourceGroups/g"); {
					case err == nil:
						passed[n%2].Add(1)
					case errors.As(err, &answer) && answer.Status == http.StatusTooManyRequests:
						throttled[n%2].Add(1)
					}
				}
			})
		}
		all.Wait()
		for i := range principals {
			Expect(passed[i].Load()).To(BeEquivalentTo(250), "of principal %d", i)
			Expect(throttled[i].Load()).To(BeEquivalentTo(70), "of principal %d", i)
		}
		t.control(ctx, http.MethodPost, "clock", map[string]any{"advance": "2s"}, nil)
		for i := range 50 {
			Expect(get(ctx, principals[0], "resourceGroups/g")).To(Succeed(), "read %d of the 50 that two seconds refill", i+1)
		}
		Expect(get(ctx, principals[0], "resourceGroups/g")).To(tooMany(true))
	}, NodeTimeout(2*time.Minute))

	It("meet the provider's policy at the 901st list, with the gateway's budget left and without its mark", func(ctx context.Context) {
		t := start(1, "--clock", "virtual")
		const list = "providers/Microsoft.Compute/virtualMachines"
		for p := range 4 { // the gateway has 250 for each
			c := t.as(ctx, fmt.Sprint("principal-", p))
			for i := range 225 {
				Expect(get(ctx, c, list)).To(Succeed(), "list %d", p*225+i+1)
			}
		}
		var answer *arm.Error
		Expect(errors.As(get(ctx, t.as(ctx, "principal-4"), list), &answer)).To(BeTrueBecause("list 901 is over the policy"))
		Expect(answer).To(tooMany(false))
		Expect(answer.Header).To(HaveKeyWithValue("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/HighCostGet;0"))
		Expect(answer.Header).To(HaveKeyWithValue("x-ms-ratelimit-remaining-subscription-reads", "249"))
		Expect(answer.Code).To(Equal("OperationNotAllowed"))
		Expect(answer.Details).To(HaveExactElements(HaveField("Code", "TooManyRequests")))
		Expect(answer.Details[0].Message).To(MatchJSON(raw901(answer.Details[0].Message)))
	}, NodeTimeout(3*time.Minute))
})

// raw901 is the message with its counts as they must be; its times are its own.
func raw901(message string) string {
	var m map[string]any
	if json.Unmarshal([]byte(message), &m) != nil {
		return "{}"
	}
	m["operationGroup"], m["allowedRequestCount"], m["measuredRequestCount"] = "HighCostGet", 900, 901
	out, err := json.Marshal(m)
	if err != nil {
		return "{}"
	}
	return string(out)
}
