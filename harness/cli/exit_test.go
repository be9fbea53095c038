package cli

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"drydock.dev/drydock/harness/fault"
)

// An exit code says nothing, and what is joined to it does.
func TestExitCodeAndTheRest(t *testing.T) {
	lost := errors.New("the cluster's lock is gone")
	for name, c := range map[string]struct {
		err  error
		want int
		says string
	}{
		"well":                {nil, exitGo, ""},
		"an answer":           {codeError{exitInconclusive}, exitInconclusive, ""},
		"an error":            {lost, exitUsage, "drydock: the cluster's lock is gone\n"},
		"an answer, and more": {errors.Join(codeError{exitNoGo}, lost), exitNoGo, "drydock: the cluster's lock is gone\n"},
		"deeper":              {errors.Join(errors.Join(nil, codeError{exitNoGo}), errors.Join(lost)), exitNoGo, "drydock: the cluster's lock is gone\n"},
		"two answers":         {errors.Join(codeError{exitNoGo}, codeError{exitUsage}), exitNoGo, ""},
		"an answer, wrapped":  {fmt.Errorf("run: %w", errors.Join(codeError{exitNoGo}, lost)), exitNoGo, "drydock: the cluster's lock is gone\n"},
		"two, in a sentence":  {fmt.Errorf("clean up after %w: %w", lost, lost), exitUsage, "drydock: clean up after the cluster's lock is gone: the cluster's lock is gone\n"},
		"wrapped":             {fmt.Errorf("run: %w", lost), exitUsage, "drydock: run: the cluster's lock is gone\n"},
	} {
		var out bytes.Buffer
		if got := exitCode(c.err, &out); got != c.want || out.String() != c.says {
			t.Errorf("%s: %d, %q; want %d, %q", name, got, out.String(), c.want, c.says)
		}
	}
}

// A fault's number is completed with what it is, and not twice.
func TestNumbersOfFaults(t *testing.T) {
	var guards []*fault.Guard
	for _, id := range []string{"3", "2"} {
		g, err := fault.NewGuard(fault.Spec{Kind: "etcdMemberCrash", Machines: []string{"etcd-" + id}}, id, nil)
		if err != nil {
			t.Fatal(err)
		}
		guards = append(guards, g)
	}
	if got := numbers(guards, []string{"2"}); !slices.Equal(got, []string{"3\tetcdMemberCrash on etcd-3"}) {
		t.Errorf("%q", got)
	}
}
