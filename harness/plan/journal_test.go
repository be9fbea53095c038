package plan

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

func TestJournalSurvivesACutLine(t *testing.T) {
	dir := t.TempDir()
	j, err := CreateJournal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Write("run", 1), j.Write("step", 2), j.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, JournalFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw[:len(raw)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	if entries, damaged, err := ReadJournal(dir); err != nil || len(entries) != 1 || !slices.Equal(damaged, []int{2}) {
		t.Fatalf("%d entries, damaged %v, %v", len(entries), damaged, err)
	}
	if j, err = AppendJournal(dir); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Write("receipt", 3), j.Write("result", 4), j.Close()); err != nil {
		t.Fatal(err)
	}
	entries, damaged, err := ReadJournal(dir)
	if err != nil || len(entries) != 3 || entries[2].Kind != "result" || !slices.Equal(damaged, []int{2}) {
		t.Fatalf("what was written after the cut line is lost: %v, damaged %v, %v", entries, damaged, err)
	}
}

func TestADamagedLineHidesNothingAfterIt(t *testing.T) {
	dir := t.TempDir()
	text := `{"kind":"run"}` + "\n" + strings.Repeat("\x00", 100) + "\n" + `{"kind":"receipt","data":{"a":"` + strings.Repeat("b", 17<<20) + `"}}` + "\n{\n" + `{"kind":"result"}`
	if err := os.WriteFile(filepath.Join(dir, JournalFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, damaged, err := ReadJournal(dir)
	if err != nil || len(entries) != 3 || entries[2].Kind != "result" || !slices.Equal(damaged, []int{2, 4}) {
		t.Fatalf("%d entries, damaged %v, %v", len(entries), damaged, err)
	}
}

func TestAJournalIsNobodyElses(t *testing.T) {
	dir := t.TempDir()
	j, err := CreateJournal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Write("run", "the first"); err != nil {
		t.Fatal(err)
	}
	var usage *cluster.UsageError
	for name, open := range map[string]func() (*Journal, error){
		"a second run": func() (*Journal, error) { return CreateJournal(dir, nil) },
		"heal":         func() (*Journal, error) { return AppendJournal(dir) },
	} {
		if _, err := open(); !errors.As(err, &usage) || !strings.Contains(err.Error(), "process") {
			t.Errorf("%s while the run lives: %v", name, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateJournal(dir, func([]Entry) error { return errors.New("it is needed") }); err == nil {
		t.Fatal("a run was set aside that may not be")
	}
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	own := []string{"evidence", "cells/05/upgrade", "deployed", "aks-engine/a"}
	for _, d := range own {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	second, err := CreateJournal(dir, func(old []Entry) error {
		if len(old) != 1 {
			t.Errorf("%d entries", len(old))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, _, err := ReadJournal(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	aside, _ := filepath.Glob(filepath.Join(dir, "20*"))
	if len(aside) != 1 {
		t.Fatalf("set aside: %v", aside)
	}
	if entries, _, err := ReadJournal(aside[0]); err != nil || len(entries) != 1 {
		t.Errorf("the first run is lost: %v, %v", entries, err)
	}
	for _, d := range own {
		_, there := os.Stat(filepath.Join(aside[0], d))
		if _, err := os.Stat(filepath.Join(dir, d)); err == nil || there != nil {
			t.Errorf("%s of the first run passes for the second's: %v", d, there)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Errorf("what is not the run's was moved: %v", err)
	}
}

// TestWhatCannotBeJournalledIsNotDone: and what undoes things is done all the same.
func TestWhatCannotBeJournalledIsNotDone(t *testing.T) {
	j, err := CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.file.Close(); err != nil {
		t.Fatal(err)
	}
	var ran []string
	step := func(name string, cleanup bool) *Step {
		return &Step{Name: name, Cleanup: cleanup, Run: func(context.Context) error { ran = append(ran, name); return nil }}
	}
	p := &Plan{Steps: []*Step{step("break", false), step("undo", true)}}
	p.Number()
	if err := (&Runner{Journal: j}).Run(t.Context(), p); err == nil || !slices.Equal(ran, []string{"undo"}) {
		t.Fatalf("ran %v, %v", ran, err)
	}
}
