package azure

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/azure/oracle"
)

// sdkCall is what became of a call of the SDK (hack/armtable/calls).
type sdkCall struct {
	Operation, Verb, Path, Outcome, Code, Error string
	Again                                       bool // the same call once more
	Status                                      int
	Unknown                                     []string // fields that the SDK's model has not
	Lost                                        []string // fields that were sent and not answered
}

func (c sdkCall) String() string {
	return fmt.Sprintf("%s (%s %s): %s %d %s %s %s", c.name(), c.Verb, c.Path, c.Outcome, c.Status, c.Code, c.Error, strings.Join(c.Unknown, " "))
}

// refusedByARM are calls that Azure refuses as well, where they stand among the others.
var refusedByARM = map[string]string{
	"armauthorization.DenyAssignmentsClient.Get":               "ResourceNotFound", // nobody can make one
	"armresources.ResourceGroupsClient.BeginDelete, once more": "ResourceGroupNotFound",
	"armsubscriptions.SubscriptionClient.CheckResourceName":    "InvalidRequestContent", // without the name, which the SDK has as an option
}

// name is the operation's, with whether it was called once more.
func (c sdkCall) name() string {
	if c.Again {
		return c.Operation + ", once more"
	}
	return c.Operation
}

// modelled reports whether the SDK has a model of the answer: a generic resource is any.
func (c sdkCall) modelled() bool {
	return !strings.HasPrefix(c.Operation, "armresources.Client.")
}

var _ = Describe("every call of Azure's Go SDK", Ordered, ContinueOnFailure, Label("tier: full", "needs: arm"), func() {
	var (
		calls   []sdkCall
		claimed = map[string]bool{}
	)

	BeforeAll(func(ctx context.Context) {
		program := filepath.Join(suite.Host.StateDir, "subjects", "armcalls")
		build := exec.CommandContext(ctx, "go", "build", "-o", program, "./calls")
		build.Dir = filepath.Join("..", "..", "hack", "armtable")
		out, err := build.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		DeferCleanup(os.Remove, program)

		t := &twin{dir: GinkgoT().TempDir()}
		t.run("serve", "--clock", "virtual")
		fixtures, err := filepath.Abs(filepath.Join("..", "..", "fixtures", "arm"))
		Expect(err).NotTo(HaveOccurred())
		cmd := exec.CommandContext(ctx, program, "--ready-file", t.file("ready.json"),
			"--table", filepath.Join(fixtures, "operations.tsv"), "--bodies", filepath.Join(fixtures, "bodies.yaml"))
		cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+t.file("ca.pem"))
		cmd.Stderr = GinkgoWriter
		raw, err := cmd.Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(json.Unmarshal(raw, &calls)).To(Succeed())

		held, err := oracle.Twin()
		Expect(err).NotTo(HaveOccurred())
		for _, h := range held {
			claimed[h.Method] = h.Claim != nil
		}
	}, NodeTimeout(15*time.Minute))

	// those are the calls for which say holds, as they are told.
	those := func(say func(sdkCall) bool) []string {
		var out []string
		for _, c := range calls {
			if say(c) {
				out = append(out, c.String())
			}
		}
		return out
	}

	It("meets no status it does not take, no body it cannot read and no error of another form than ARM's", func() {
		Expect(those(func(c sdkCall) bool { return c.Outcome == "failed" })).To(BeEmpty())
	})

	It("is answered where the twin says so, or refused as Azure refuses it", func() {
		Expect(those(func(c sdkCall) bool {
			code, refused := refusedByARM[c.name()]
			return claimed[c.Operation] && (c.Outcome == "passed") == refused || c.Outcome == "refused" && c.Code != code
		})).To(BeEmpty())
	})

	It("is told that there is no such thing where the twin does not answer it", func() {
		Expect(those(func(c sdkCall) bool { return !claimed[c.Operation] && c.Outcome != "unanswered" })).To(BeEmpty())
	})

	It("is told nothing that its models do not have", func() {
		Expect(those(func(c sdkCall) bool { return len(c.Unknown) > 0 && c.modelled() })).To(BeEmpty())
	})

	It("is told again what it sent, but for what Azure keeps to itself", func() {
		kept := map[string]bool{}
		for _, c := range calls {
			for _, field := range c.Lost {
				kept[field[strings.LastIndexByte(field, '.')+1:]] = true
			}
		}
		Expect(slices.Sorted(maps.Keys(kept))).To(HaveExactElements("adminPassword", "customData", "protectedSettings", "template", "value"))
	})

	It("counts", func() {
		by := map[string][]string{}
		for _, c := range calls {
			if !slices.Contains(by[c.Outcome], c.Operation) {
				by[c.Outcome] = append(by[c.Outcome], c.Operation)
			}
		}
		answered := 0
		for _, yes := range claimed {
			if yes {
				answered++
			}
		}
		Expect(len(claimed)).To(BeNumerically(">", 1000), "the whole table")
		AddReportEntry("operations of the SDK", fmt.Sprintf("%d claimed, %d passed, %d refused once, %d failed, %d not answered: %s",
			answered, len(by["passed"]), len(by["refused"]), len(by["failed"]), len(by["unanswered"]), strings.Join(by["unanswered"], " ")), ReportEntryVisibilityFailureOrVerbose)
	})
})
