package plan

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type kept struct{ To string }

func TestAClaimIsHeldByOneAndKeepsNoStaleSnapshot(t *testing.T) {
	dir := t.TempDir()
	c, err := TakeClaim(dir, "upgraded")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TakeClaim(dir, "upgraded"); err == nil || !strings.Contains(err.Error(), "belongs to process") {
		t.Fatalf("a second process got it: %v", err)
	}
	if err := errors.Join(c.Keep(kept{To: "v1.36.3"}), c.Close()); err != nil {
		t.Fatal(err)
	}
	if c, err = TakeClaim(dir, "upgraded"); err != nil || !c.Resumed {
		t.Fatalf("not resumed: %v", err)
	}
	snapshots := filepath.Join(dir, "snapshots")
	if err := errors.Join(os.MkdirAll(snapshots, 0o755), c.Finish(), c.Close()); err != nil {
		t.Fatal(err)
	}
	if c, err = TakeClaim(dir, "upgraded"); err != nil || c.Resumed {
		t.Fatalf("resumed a finished work: %v", err)
	}
	defer func() { _ = c.Close() }()
	if _, err := os.Stat(snapshots); err == nil {
		t.Fatal("the snapshots of a finished work would pass for this one's")
	}
}

// What is gone on with is the work that was begun, not a later one that was refused.
func TestARefusedAttemptKeepsTheSettingsOfTheOneThatWasBegun(t *testing.T) {
	dir := t.TempDir()
	if c, err := TakeClaim(dir, "upgraded"); err != nil || c.Resumed || c.Close() != nil { // refused before anything was begun
		t.Fatalf("%+v, %v", c, err)
	}
	c, err := TakeClaim(dir, "upgraded")
	if err != nil || c.Resumed {
		t.Fatalf("an attempt that was refused is resumed: %v", err)
	}
	if err := errors.Join(c.Keep(kept{To: "v1.36.3"}), c.Close()); err != nil {
		t.Fatal(err)
	}
	if c, err = TakeClaim(dir, "upgraded"); err != nil || !c.Resumed || c.Close() != nil { // refused: Keep is not called
		t.Fatalf("%+v, %v", c, err)
	}
	var s kept
	if err := ReadSpec(dir, &s); err != nil || s.To != "v1.36.3" {
		t.Fatalf("spec %+v", s)
	}
}
