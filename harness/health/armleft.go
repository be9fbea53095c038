package health

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

// stillWaiting are the clients whose last call was answered 429, and before a time: they have been told to wait, and nobody knows what comes then.
func stillWaiting(calls []arm.Call, before time.Time) (out []string) {
	last := map[string]arm.Call{}
	for _, c := range calls {
		last[c.Principal] = c
	}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		if c := last[name]; c.Status == http.StatusTooManyRequests && c.Time.Before(before) {
			out = append(out, fmt.Sprintf("%s (%s at %s)", clientOf(name), c.Operation, clock(c.Time)))
		}
	}
	return out
}

// swapped lists the disks that are another machine's than before: what is on one belongs to its machine.
func swapped(before, after []arm.Resource) (out []string) {
	was := map[string]string{}
	for _, d := range before {
		if strings.EqualFold(path.Base(path.Dir(d.ID)), "disks") {
			was[strings.ToLower(d.ID)] = d.By
		}
	}
	for _, d := range after {
		if of := was[strings.ToLower(d.ID)]; of != "" && d.By != "" && !strings.EqualFold(of, d.By) {
			out = append(out, fmt.Sprintf("%s was of %s and is of %s", arm.ThingOf(d.ID), arm.ThingOf(of), arm.ThingOf(d.By)))
		}
	}
	return out
}
