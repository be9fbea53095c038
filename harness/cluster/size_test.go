package cluster

import (
	"encoding/json"
	"testing"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"256Mi": 256 << 20, "1Gi": 1 << 30, "1000": 1000, "0": 0} {
		var s, again Size
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
		raw, err := json.Marshal(s)
		if err == nil {
			err = json.Unmarshal(raw, &again)
		}
		if err != nil || again != s {
			t.Errorf("%s came back as %s: %v", s, raw, err)
		}
	}
	var s Size
	for _, text := range []string{"", "much", "256M i", "Mi", "-1"} {
		if err := s.Set(text); err == nil {
			t.Errorf("%q is %d", text, s)
		}
	}
	raw, err := json.Marshal(Topology{})
	var topology map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &topology)
	}
	if _, there := topology["etcdQuota"]; err != nil || there {
		t.Errorf("%s, %v", raw, err)
	}
}
