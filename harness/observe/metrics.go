package observe

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Belief is what a process says of itself in a leader election.
type Belief string

// The beliefs. A process that was told not to elect works as if it led, and says nothing of it.
const (
	Leads     Belief = "leads"
	Follows   Belief = "follows"
	Unelected Belief = "unelected" // it has no such metric: it takes part in no election
)

// The metrics that are read. kubernetes_build_info and leader_election_master_status are of k8s.io/component-base, the start is of Prometheus' own
// client (its process collector).
const (
	metricVersion = "kubernetes_build_info"
	metricStarted = "process_start_time_seconds"
	metricLeader  = "leader_election_master_status"
)

// metrics are those of a page that are read.
type metrics map[string]*dto.MetricFamily

// readMetrics parses the few lines of a page that are read: an API server's page has megabytes.
func readMetrics(r io.Reader) (metrics, error) {
	var kept bytes.Buffer
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		for _, name := range []string{metricVersion, metricStarted, metricLeader} {
			if rest, ok := strings.CutPrefix(lines.Text(), name); ok && strings.IndexAny(rest, "{ ") == 0 {
				kept.WriteString(lines.Text() + "\n")
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	out, err := parser.TextToMetricFamilies(&kept)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return out, nil
}

// of lists a metric's samples, which have no type: the page's lines that give it one are not read.
func (m metrics) of(name string) []*dto.Metric { return m[name].GetMetric() }

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func (m metrics) version() (string, error) {
	for _, x := range m.of(metricVersion) {
		if v := label(x, "git_version"); v != "" {
			return v, nil
		}
	}
	return "", fmt.Errorf("no %s among the metrics", metricVersion)
}

func (m metrics) started() (time.Time, error) {
	for _, x := range m.of(metricStarted) {
		return time.UnixMilli(int64(x.GetUntyped().GetValue() * 1000)), nil
	}
	return time.Time{}, fmt.Errorf("no %s among the metrics", metricStarted)
}

// Started is when the process started that a page of metrics is of.
func Started(page []byte) (time.Time, error) {
	m, err := readMetrics(bytes.NewReader(page))
	if err != nil {
		return time.Time{}, err
	}
	return m.started()
}

// leader is the process's belief about the lease of that name.
func (m metrics) leader(lease string) Belief {
	for _, x := range m.of(metricLeader) {
		switch {
		case label(x, "name") != lease:
		case x.GetUntyped().GetValue() == 1:
			return Leads
		default:
			return Follows
		}
	}
	return Unelected
}
