package trust

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

// Exit codes of `drydock report`.
const (
	exitGo           = 0
	exitNoGo         = 1
	exitInconclusive = 3
)

// forgery is a change of what a run has kept.
type forgery struct {
	name string
	do   func(k *kept)
	exit int
	says string // among the reasons
}

// kept is the directory of a run.
type kept struct{ dir string }

func (k kept) evidence() string { return filepath.Join(k.dir, "evidence", "run.json.gz") }
func (k kept) journal() string  { return filepath.Join(k.dir, plan.JournalFile) }

// edit changes the evidence.
func (k kept) edit(change func(e *experiment.Evidence)) {
	GinkgoHelper()
	raw, err := os.ReadFile(k.evidence())
	Expect(err).NotTo(HaveOccurred())
	z, err := gzip.NewReader(bytes.NewReader(raw))
	Expect(err).NotTo(HaveOccurred())
	var e experiment.Evidence
	Expect(json.NewDecoder(z).Decode(&e)).To(Succeed())
	change(&e)
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	Expect(json.NewEncoder(w).Encode(e)).To(Succeed())
	Expect(w.Close()).To(Succeed())
	Expect(os.WriteFile(k.evidence(), out.Bytes(), 0o600)).To(Succeed())
}

// lines changes the journal.
func (k kept) lines(change func(lines [][]byte) [][]byte) {
	GinkgoHelper()
	raw, err := os.ReadFile(k.journal())
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(k.journal(), bytes.Join(change(bytes.SplitAfter(raw, []byte("\n"))), nil), 0o600)).To(Succeed())
}

// receipt changes the only one there is.
func receipt(change func(r *plan.Receipt)) func(k *kept) {
	return func(k *kept) {
		k.edit(func(e *experiment.Evidence) {
			Expect(e.Receipts).To(HaveLen(1))
			change(&e.Receipts[0])
		})
	}
}

// half is as much of a list as there was when half the run was over.
func half[T any](list []T) []T { return list[:len(list)/2] }

func forgeries() []forgery {
	return []forgery{
		{"nothing changed", func(*kept) {}, exitGo, ""},
		{"the report deleted", func(k *kept) { Expect(os.Remove(filepath.Join(k.dir, "report.json"))).To(Succeed()) }, exitGo, ""},
		{"a report that says something else", func(k *kept) {
			Expect(os.WriteFile(filepath.Join(k.dir, "report.json"), []byte(`{"verdict":"no-go"}`), 0o600)).To(Succeed())
		}, exitGo, ""},
		{"an acknowledged write taken out of what was found", func(k *kept) {
			k.edit(func(e *experiment.Evidence) { e.Record.Ledgers[0].Found = e.Record.Ledgers[0].Found[1:] })
		}, exitNoGo, "noAcknowledgedWriteLost (always): etcd: 1 of"},
		{"an answer changed in a history", func(k *kept) {
			k.edit(func(e *experiment.Evidence) {
				ops := e.Record.Histories[0].Ops
				i := slices.IndexFunc(ops, func(o load.Op) bool { return o.Kind == "get" && !o.Unknown })
				ops[i].Value = "never written"
			})
		}, exitNoGo, "linearizable (always): etcd: no order of the"},
		{"a quorum that was lost", func(k *kept) {
			k.edit(func(e *experiment.Evidence) {
				for i := range half(e.Record.Observations) {
					e.Record.Observations[i].Quorum.Error = "no linearizable read succeeded"
				}
			})
		}, exitNoGo, "etcdQuorum"},
		{"a fault's time shortened", func(k *kept) {
			k.edit(func(e *experiment.Evidence) { e.Record.Windows = nil })
		}, exitNoGo, "onlyPlannedLosses"},
		{"a receipt without evidence", receipt(func(r *plan.Receipt) { r.Evidence = nil }), exitInconclusive, "no evidence of its effect is kept"},
		{"a receipt without evidence of its end", receipt(func(r *plan.Receipt) {
			r.Evidence = slices.DeleteFunc(r.Evidence, func(v plan.Evidence) bool { return !v.Time.Before(r.ClearedAt) })
		}), exitInconclusive, "no evidence of its end is kept"},
		{"evidence older than the injection", receipt(func(r *plan.Receipt) { r.Evidence[0].Time = r.Armed.Add(-time.Second) }), exitInconclusive, "is older than the injection"},
		{"a receipt of a fault that was never armed", receipt(func(r *plan.Receipt) { r.Armed = time.Time{} }), exitInconclusive, "are not those of an injection"},
		{"a planned fault without a receipt", func(k *kept) { k.edit(func(e *experiment.Evidence) { e.Receipts = nil }) }, exitInconclusive, "it was planned and never began"},
		{"a probe silenced", func(k *kept) {
			k.edit(func(e *experiment.Evidence) {
				e.Record.Samples[load.ProbeEtcdRead] = half(e.Record.Samples[load.ProbeEtcdRead])
			})
		}, exitInconclusive, `the probe "etcd linearizable read" stopped`},
		{"a probe taken away", func(k *kept) {
			k.edit(func(e *experiment.Evidence) { delete(e.Record.Samples, load.ProbeEtcdStaleRead) })
		}, exitInconclusive, `the probe "etcd serializable read" is missing`},
		{"an observer stopped", func(k *kept) {
			k.edit(func(e *experiment.Evidence) { e.Record.Observations = half(e.Record.Observations) })
		}, exitInconclusive, "the observer stopped at"},
		{"an observer that closed its eyes", func(k *kept) {
			k.edit(func(e *experiment.Evidence) {
				n := len(e.Record.Observations)
				e.Record.Observations = slices.Delete(e.Record.Observations, n/8, n*7/8)
			})
		}, exitInconclusive, "nothing was observed from"},
		{"the clock of one observation", func(k *kept) {
			k.edit(func(e *experiment.Evidence) {
				o := &e.Record.Observations[len(e.Record.Observations)-5]
				o.Time = o.Time.Add(-time.Minute)
			})
		}, exitInconclusive, "follows that of"},
		{"the clock of one entry of the journal", func(k *kept) {
			k.lines(func(lines [][]byte) [][]byte {
				var e plan.Entry
				Expect(json.Unmarshal(lines[5], &e)).To(Succeed())
				e.Time = e.Time.Add(time.Hour)
				raw, err := json.Marshal(e)
				Expect(err).NotTo(HaveOccurred())
				lines[5] = append(raw, '\n')
				return lines
			})
		}, exitInconclusive, "the journal's clock ran backwards"},
		{"a journal cut in the middle", func(k *kept) { k.lines(half) }, exitInconclusive, "the run did not end"},
		{"a journal torn in a line", func(k *kept) {
			k.lines(func(lines [][]byte) [][]byte {
				n := len(lines) / 2
				return append(lines[:n:n], lines[n][:len(lines[n])/2])
			})
		}, exitInconclusive, "of the journal is damaged"},
		{"a line of the journal damaged", func(k *kept) {
			k.lines(func(lines [][]byte) [][]byte {
				lines[7] = []byte("{\x00\n")
				return lines
			})
		}, exitInconclusive, "line 8 of the journal is damaged"},
		{"evidence missing", func(k *kept) { Expect(os.Remove(k.evidence())).To(Succeed()) }, exitInconclusive, "no such file"},
		{"evidence cut off", func(k *kept) {
			st, err := os.Stat(k.evidence())
			Expect(err).NotTo(HaveOccurred())
			Expect(os.Truncate(k.evidence(), st.Size()/2)).To(Succeed())
		}, exitInconclusive, "unexpected EOF"},
		{"evidence of another shape", func(k *kept) { k.edit(func(e *experiment.Evidence) { e.Schema = "drydock.dev/evidence/v0" }) }, exitInconclusive, "is of schema"},
	}
}

var _ = Describe("what a run has kept", Ordered, ContinueOnFailure, Label("tier: quick", "needs: etcd"), func() {
	var original string
	BeforeAll(func(ctx context.Context) {
		file := filepath.Join(GinkgoT().TempDir(), "kept.yaml")
		Expect(os.WriteFile(file, []byte(`
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: kept}
spec:
  cluster: {etcd: only, etcdMembers: 3}
  steps:
    - fault: {etcdMemberCrash: {target: follower, for: 10s}}
      during: [{etcdWritesContinue: {maxGap: 10s}}]
    - observe: 30s
  finally: [etcdHealthy, hashesEqual]
`), 0o600)).To(Succeed())
		original = filepath.Join(GinkgoT().TempDir(), "run")
		Eventually(ctx, start(ctx, "run", file, "--out", original)).WithTimeout(3 * time.Minute).Should(gexec.Exit(exitGo))
	}, NodeTimeout(4*time.Minute))

	for _, f := range forgeries() {
		It("is judged again: "+f.name, func(ctx context.Context) {
			k := &kept{dir: filepath.Join(GinkgoT().TempDir(), "run")}
			Expect(os.CopyFS(k.dir, os.DirFS(original))).To(Succeed())
			f.do(k)
			Eventually(ctx, start(ctx, "report", k.dir)).WithTimeout(time.Minute).Should(gexec.Exit(f.exit))
			raw, err := os.ReadFile(filepath.Join(k.dir, "report.json"))
			Expect(err).NotTo(HaveOccurred(), "no report was written")
			var res plan.Result
			Expect(json.Unmarshal(raw, &res)).To(Succeed())
			Expect(strings.Join(res.Reasons, "\n")).To(ContainSubstring(f.says))
			if f.exit == exitGo {
				Expect(res.Reasons).To(BeEmpty())
			}
		}, NodeTimeout(2*time.Minute))
	}
})
