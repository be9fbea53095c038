package etcd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// pageLimit is more than a member's longest page has, in bytes.
const pageLimit = 4 << 20

// page reads a page of a member over a connection of its own, which is not kept: the next one must not be of a process that is gone.
func page(ctx context.Context, t *http.Transport, url string) ([]byte, error) {
	t.DisableKeepAlives = true
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, pageLimit+1))
	if err == nil && len(raw) > pageLimit {
		err = fmt.Errorf("GET %s: more than %d bytes", url, pageLimit)
	}
	return raw, err
}

// metrics reads figures from a member's own page, by the names they have there.
func (a *Access) metrics(ctx context.Context, machine string, names ...string) ([]float64, error) {
	m, err := a.cluster.Machine(machine)
	if err != nil {
		return nil, err
	}
	d, err := cluster.As[cluster.Dialer](m)
	if err != nil {
		return nil, err
	}
	raw, err := page(ctx, &http.Transport{DialContext: d.Dial}, fmt.Sprintf("http://127.0.0.1:%d/metrics", MetricsPort))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", machine, err)
	}
	found := map[string]float64{}
	for line := range strings.Lines(string(raw)) {
		for _, name := range names {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
				if found[name], err = strconv.ParseFloat(v, 64); err != nil {
					return nil, fmt.Errorf("%s: %s: %w", machine, name, err)
				}
			}
		}
	}
	var out []float64
	for _, name := range names {
		v, ok := found[name]
		if !ok {
			return nil, fmt.Errorf("%s: no %s among the metrics", machine, name)
		}
		out = append(out, v)
	}
	return out, nil
}

// Metric reads a figure from a member's own metrics, by the name it has there, labels included.
func (a *Access) Metric(ctx context.Context, machine, name string) (float64, error) {
	v, err := a.metrics(ctx, machine, name)
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

// started reads when the member's process started from its own metrics: a restart cannot hide behind a quick recovery.
func (a *Access) started(ctx context.Context, machine string) (time.Time, error) {
	v, err := a.metrics(ctx, machine, "process_start_time_seconds")
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(int64(v[0] * 1000)), nil
}

// Fsyncs is what a member says of the fsyncs of its write-ahead log since it started.
type Fsyncs struct {
	Count float64
	Took  time.Duration // all of them together
}

// Fsyncs reads it from the member's own metrics.
func (a *Access) Fsyncs(ctx context.Context, machine string) (Fsyncs, error) {
	const name = "etcd_disk_wal_fsync_duration_seconds"
	v, err := a.metrics(ctx, machine, name+"_count", name+"_sum")
	if err != nil {
		return Fsyncs{}, err
	}
	return Fsyncs{Count: v[0], Took: time.Duration(v[1] * float64(time.Second))}, nil
}

// Mean is how long one took on average since an earlier reading of the same process; false: there was none, or it has started anew.
func (f Fsyncs) Mean(since Fsyncs) (time.Duration, bool) {
	n := f.Count - since.Count
	if n <= 0 || f.Took < since.Took {
		return 0, false
	}
	return time.Duration(float64(f.Took-since.Took) / n), true
}
