package preflight

import "testing"

func TestReserved(t *testing.T) {
	const gib = 1 << 30
	for capacity, want := range map[int64]float64{4 * gib: 1, 8 * gib: 1.8, 16 * gib: 2.6, 128 * gib: 9.32, 228 * gib: 11.32} {
		if got := float64(Reserved(capacity)) / gib; got < want-0.01 || got > want+0.01 {
			t.Errorf("of %d GiB %.2f GiB are reserved, want %.2f", capacity/gib, got, want)
		}
	}
}
