package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTimingsOfAFileStandOverTheTwins(t *testing.T) {
	own, err := ParseTimings([]byte(`
default: {retryAfter: {poll: 7s}}
types:
  microsoft.compute/virtualMachines: {form: async, create: {min: 5m, max: 6m}, retryAfter: {write: -1s}}
  Microsoft.Compute/images: {delete: {min: 2s, max: 2s}}
`))
	if err != nil {
		t.Fatal(err)
	}
	all, err := timings(own)
	if err != nil {
		t.Fatal(err)
	}
	vm := all.of("Microsoft.Compute/VirtualMachines")
	if vm.Form != FormAsync || vm.At != "operations" || vm.Create != (Span{5 * time.Minute, 6 * time.Minute}) || vm.Delete != (Span{30 * time.Second, time.Minute}) ||
		vm.RetryAfter != (Retry{Write: -time.Second, Delete: 10 * time.Second, Poll: 50 * time.Second}) {
		t.Errorf("%+v", vm)
	}
	if image := all.of("Microsoft.Compute/images"); image.Delete.Max != 2*time.Second || image.RetryAfter.Poll != 7*time.Second || image.Form != FormBoth {
		t.Errorf("%+v", image)
	}
}

func TestTimingsThatAreWrongAreRefusedWithTheirPlace(t *testing.T) {
	dir := t.TempDir()
	for content, told := range map[string]string{
		"":                              "empty",
		"types:\n  a/b: {creat: {}}":    "line 2: field creat",
		"types:\n  a/b: {form: letter}": `types: a/b: form is "letter"; known: async, location, both`,
		"types:\n  a/b: {at: nowhere}":  "at is \"nowhere\"; known: operations, DiskOperations",
		"types:\n  a/b: {delete: {min: 9s, max: 3s}}": "types: a/b: delete lasts 9s to 3s",
		"default: {update: {min: -9s, max: 3s}}":      "default: update lasts -9s to 3s",
		"types:\n  a/b: {create: {min: soon}}":        "line 2",
	} {
		file := filepath.Join(dir, "timings.yaml")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadTimings(file); err == nil || !strings.Contains(err.Error(), told) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v; wanted %q", content, err, told)
		}
	}
}
