package subject

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAScenarioTakesTimingsFromAFileAndSaysWhatIsWrongWithIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "timings.yaml")
	a := &ARM{Policy: "current", Timings: file, Clock: "60", ScaleSets: 1, Nodes: 1, Every: time.Second, Patience: time.Minute, Subjects: []ARMSubject{{Name: "x", ListsPerMiss: 1}}}
	for content, told := range map[string]string{
		"types:\n  Microsoft.Compute/disks: {form: async}\n": "", "types:\n  Microsoft.Compute/disks: {from: async}\n": "line 2", "types:\n  Microsoft.Compute/disk: {form: async}\n": "the twin has no such type",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := a.Validate(); (err == nil) != (told == "") || err != nil && !strings.Contains(err.Error(), told) {
			t.Errorf("%q: %v", content, err)
		}
	}
	if a.Timings = file + "-none"; a.Validate() == nil {
		t.Error("timings that are not there are taken")
	}
}
