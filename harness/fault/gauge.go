package fault

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// delayGauge sees how long a round trip takes.
type delayGauge struct {
	least, most   time.Duration // of one whose packets are late; half of the least is that of a good link at most
	delay, jitter time.Duration // of each packet that is
}

// lateAtMost is by how much a busy host's answers may be later than the link makes them. Those that got lost and are asked for again are later by a second
// (RFC 6298).
const lateAtMost = 500 * time.Millisecond

func newDelayGauge(s cluster.Shape) delayGauge {
	n := time.Duration(ways(s.Way))
	return delayGauge{least: n*s.Delay - s.Jitter, most: n*(s.Delay+s.Jitter) + lateAtMost, delay: s.Delay, jitter: s.Jitter}
}

// median is how long answers take; an error when most do not come, which is no delay.
func (g delayGauge) median(ctx context.Context, e *Env, near, far string) (time.Duration, error) {
	const tries, apart = 15, 20 * time.Millisecond
	within := g.most + lateAtMost
	took, err := knocks(ctx, e, far, near, tries, apart, within)
	if err != nil {
		return 0, err
	}
	came := slices.DeleteFunc(took, func(d time.Duration) bool { return d < 0 })
	slices.Sort(came)
	if len(came) <= tries/2 {
		return 0, fmt.Errorf("of %d answers of %s to %s only %d came within %s: they are not late but lost", tries, near, far, len(came), within)
	}
	return came[tries/2], nil
}

func (g delayGauge) bad(ctx context.Context, e *Env, near, far string) (plan.Evidence, error) {
	took, err := g.median(ctx, e, near, far)
	switch {
	case err != nil:
	case took < g.least:
		err = fmt.Errorf("%s has its answers from %s after %s; late ones would take %s at least", far, near, took.Round(time.Millisecond), g.least)
	case took > g.most:
		err = fmt.Errorf("%s has its answers from %s after %s, and they should be late by no more than %s", far, near, took.Round(time.Millisecond), g.most)
	}
	return saw(far, "answers of %s take %s", near, took.Round(time.Millisecond)), err
}

func (g delayGauge) good(ctx context.Context, e *Env, near, far string) (plan.Evidence, error) {
	took, err := g.median(ctx, e, near, far)
	if err == nil && took > g.least/2 {
		err = fmt.Errorf("%s has its answers from %s after %s; where nothing is late it would be %s at most", far, near, took.Round(time.Millisecond), g.least/2)
	}
	return saw(far, "answers of %s take %s: nothing is late", near, took.Round(time.Microsecond)), err
}

// lossGauge sees how much is lost: of so many tries that the share tells a loss of both ways from one of a single way, and one way's from none.
type lossGauge struct {
	share float64 // of packets, each way
	ways  int
}

// sigmas is how many standard deviations off a share may be that was seen. Three and a half: once in 4000 looks.
const sigmas = 3.5

// bounds are those of the share of answers that are lost, by so many tries.
func (g lossGauge) bounds() (tries int, low, high float64) {
	sigma := func(p float64) float64 { return math.Sqrt(p * (1 - p)) }
	all := 1 - math.Pow(1-g.share, float64(g.ways)) // a question and its answer
	half, doubt := 0.0, sigma(all)                  // of none at all there is no doubt
	if g.ways == 2 {
		half, doubt = g.share, sigma(all)+sigma(g.share)
	}
	low = half + (all-half)*(1-sigma(all)/doubt)
	if g.ways == 1 {
		low, doubt = all/2, 2*sigma(all)
	}
	root := sigmas * doubt / (all - half)
	tries = int(math.Ceil(root * root))
	return tries, low, min(all+sigmas*sigma(all)/math.Sqrt(float64(tries)), 1-1/float64(tries))
}

func (g lossGauge) lost(ctx context.Context, e *Env, near, far string, tries int) (float64, error) {
	const within = 900 * time.Millisecond // what is later was lost: the kernel has not tried again before (RFC 6298)
	took, err := knocks(ctx, e, far, near, tries, 2*time.Millisecond, within)
	lost := 0
	for _, d := range took {
		if d < 0 {
			lost++
		}
	}
	return float64(lost) / float64(tries), err
}

func (g lossGauge) bad(ctx context.Context, e *Env, near, far string) (plan.Evidence, error) {
	tries, low, high := g.bounds()
	share, err := g.lost(ctx, e, near, far, tries)
	if err == nil && (share < low || share > high) {
		err = fmt.Errorf("of %d answers of %s to %s %s are lost; it would be %s to %s", tries, near, far, Share(share), Share(low), Share(high))
	}
	return saw(far, "of %d answers of %s %s are lost", tries, near, Share(share)), err
}

func (g lossGauge) good(ctx context.Context, e *Env, near, far string) (plan.Evidence, error) {
	const tries, stray = 200, 0.02 // a busy host's answers may be late; of the least loss that there may be so few are seen once in 100 000 looks
	share, err := g.lost(ctx, e, near, far, tries)
	if err == nil && share > stray {
		err = fmt.Errorf("of %d answers of %s to %s %s are lost, and none should", tries, near, far, Share(share))
	}
	return saw(far, "of %d answers of %s %s are lost, as few as should be", tries, near, Share(share)), err
}

// rateGauge sees how much gets through to a machine of twice as much as should.
type rateGauge struct {
	rate int64 // bits a second
	way  cluster.Way
}

func (g rateGauge) bad(ctx context.Context, e *Env, near, far string) (plan.Evidence, error) {
	out, err := g.flood(ctx, e, near, far, g.way != cluster.Inbound)
	if err != nil {
		return plan.Evidence{}, err
	}
	in, err := g.flood(ctx, e, far, near, g.way != cluster.Outbound)
	return saw(far, "%s; %s", out, in), err
}

func (g rateGauge) good(ctx context.Context, e *Env, near, far string) (plan.Evidence, error) {
	out, err := g.flood(ctx, e, near, far, false)
	if err != nil {
		return plan.Evidence{}, err
	}
	in, err := g.flood(ctx, e, far, near, false)
	return saw(far, "%s; %s", out, in), err
}

// flood sends packets that nobody wants for so short a time that none of them, and of what is sent beside them, waits for longer than a shaped link lets it.
func (g rateGauge) flood(ctx context.Context, e *Env, from, to string, limited bool) (string, error) {
	const size, headers, times, lasts, every = 1200, 42, 2, 300 * time.Millisecond, 5 * time.Millisecond
	dial, other, err := unserved(e, from, to)
	if err != nil {
		return "", err
	}
	conn, err := dial(ctx, "udp")
	if err != nil {
		return "", fmt.Errorf("%s to %s: %w", from, to, err)
	}
	defer func() { _ = conn.Close() }()
	before, err := received(ctx, other)
	if err != nil {
		return "", err
	}
	start, sent := time.Now(), 0
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ; time.Since(start) < lasts; <-tick.C {
		for due := int(float64(g.rate) * times / 8 * time.Since(start).Seconds()); sent < due; sent += size + headers {
			if _, err := conn.Write(make([]byte, size)); err != nil && !errors.Is(err, syscall.ECONNREFUSED) { // said of those before it
				return "", fmt.Errorf("%s to %s: %w", from, to, err)
			}
		}
	}
	after, err := received(ctx, other)
	if err != nil {
		return "", err
	}
	lasted := time.Since(start).Seconds()
	sends, gets := Rate(float64(sent)*8/lasted), Rate(float64(after-before)*8/lasted)
	said := fmt.Sprintf("%s sends %s, of which %s gets %s", from, sends, to, gets)
	whole, some := Rate(float64(g.rate)*1.6), Rate(float64(g.rate)*0.5)
	switch {
	case sends < whole:
		return "", fmt.Errorf("%s: too little to see a limit of %s by", said, Rate(g.rate))
	case limited && (gets > Rate(float64(g.rate)*1.3) || gets < some):
		return "", fmt.Errorf("%s; it should be %s", said, Rate(g.rate))
	case !limited && gets < whole:
		return "", fmt.Errorf("%s; nothing should be in its way", said)
	}
	return said, nil
}

// received is how many bytes have come in by a machine's network card (/proc/net/dev of proc(5)).
func received(ctx context.Context, m cluster.Machine) (int64, error) {
	raw, err := m.ReadFile(ctx, "/proc/net/dev")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if name, counts, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "eth0" && len(strings.Fields(counts)) > 0 {
			return strconv.ParseInt(strings.Fields(counts)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s: no eth0 in /proc/net/dev", m.Name())
}
