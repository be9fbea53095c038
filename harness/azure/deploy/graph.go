package deploy

import (
	"strings"
	"sync/atomic"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy/template"
	"drydock.dev/drydock/harness/azure/resource"
)

// The states of a resource within a deployment.
const (
	waiting = "waiting"
	running = "running"
	skipped = "skipped"
)

// deployed is a resource of a template, one for each turn of its loop.
type deployed struct {
	source     map[string]any
	at         template.Source // where that is written
	scope      *template.Scope
	symbol     string
	name       string // as the template has it, with the names of its parents
	id         arm.ID
	typ        *resource.Type
	typeName   string // as the template has it
	apiVersion string
	existing   bool // not deployed, only referred to
	loop       *loop
	turn       int

	depends []unit // what it waits for, as its template says
	left    int    // of those, how many are not there yet
	begins  []*deployed
	groups  []*loop // that wait for it as a whole

	state        string
	operation    string // Create, Read
	failure      *arm.Error
	begun, ended time.Time
	attempts     int
	request      any // as debugSetting has it told
	response     any
	target       arm.ID                     // whose operation makes it: its own, or its parent's where it lives in that
	was          *progress                  // before the process ended in which the deployment began
	unknown      []string                   // of a nested deployment: parameters whose values that process kept for itself
	early        any                        // its body, where all of it is known before anything is deployed, until it was looked at
	inner        atomic.Pointer[deployment] // of another subscription it is seen to from two, each alone in its own
}

// loop is a resource with copy: others depend on all of it.
type loop struct {
	name   string
	turns  []*deployed
	left   int
	begins []*deployed
}

// unit is something to depend on: a resource, or all turns of a loop.
type unit struct {
	one *deployed
	all *loop
}

// graph is what a template deploys, and in what order. Names are looked up once: a template of 800 resources that each wait for a loop of 800 has 800
// dependencies and not 640,000.
type graph struct {
	resources []*deployed
	byName    map[string][]unit // ids, names, types with names, loops and symbols, in lower case
	ready     []*deployed       // to begin now
	active    int               // how many run
	undone    int               // how many wait
}

func (g *graph) name(key string, u unit) {
	key = strings.ToLower(key)
	for _, known := range g.byName[key] {
		if known == u {
			return
		}
	}
	g.byName[key] = append(g.byName[key], u)
}

// find gives what a name means, if it means one thing only.
func (g *graph) find(name string) []unit { return g.byName[strings.ToLower(name)] }

// wait lets a resource wait for something.
func (r *deployed) wait(u unit) {
	for _, known := range r.depends {
		if known == u {
			return
		}
	}
	if u.all != nil && u.all.left == 0 { // it has no turns
		return
	}
	r.depends = append(r.depends, u)
	r.left++
	if u.all != nil {
		u.all.begins = append(u.all.begins, r)
		return
	}
	u.one.begins = append(u.one.begins, r)
}

// done notes that a resource is there, or will not be, and gives what may begin by that.
func (g *graph) done(r *deployed) {
	release := func(list []*deployed) {
		for _, n := range list {
			if n.left--; n.left == 0 && n.state == waiting {
				g.ready = append(g.ready, n)
			}
		}
	}
	begins := r.begins
	r.begins = nil
	release(begins)
	for _, l := range r.groups {
		if l.left--; l.left == 0 {
			begins := l.begins
			l.begins = nil
			release(begins)
		}
	}
}

// order proves that everything has a turn, and finds what begins.
func (d *deployment) order() *arm.Error {
	left := map[*deployed]int{}
	loops := map[*loop]int{}
	var queue []*deployed
	for _, r := range d.resources {
		left[r] = len(r.depends)
		if len(r.depends) == 0 {
			queue = append(queue, r)
		}
		for _, l := range r.groups {
			loops[l]++
		}
	}
	seen := 0
	release := func(list []*deployed) {
		for _, n := range list {
			if left[n]--; left[n] == 0 {
				queue = append(queue, n)
			}
		}
	}
	for len(queue) > 0 {
		r := queue[0]
		queue = queue[1:]
		seen++
		release(r.begins)
		for _, l := range r.groups {
			if loops[l]--; loops[l] == 0 {
				release(l.begins)
			}
		}
	}
	if seen < len(d.resources) {
		r := d.circle(left)
		return r.invalid(circular, r.id)
	}
	for _, r := range d.resources {
		switch r.state {
		case skipped:
			d.done(r)
		case waiting:
			d.undone++
		}
	}
	d.ready = nil
	for _, r := range d.resources {
		if r.left == 0 && r.state == waiting {
			d.ready = append(d.ready, r)
		}
	}
	return nil
}

const circular = "Circular dependency detected on resource: '%s'. Please see https://aka.ms/arm-syntax-resources for usage details."

// circle finds one that stands in a circle, by going along what waits for each other.
func (d *deployment) circle(left map[*deployed]int) *deployed {
	var r *deployed
	for _, x := range d.resources {
		if left[x] > 0 {
			r = x
			break
		}
	}
	visited := map[*deployed]bool{}
	for !visited[r] {
		visited[r] = true
	next:
		for _, u := range r.depends {
			many := []*deployed{u.one}
			if u.all != nil {
				many = u.all.turns
			}
			for _, x := range many {
				if left[x] > 0 {
					r = x
					break next
				}
			}
		}
	}
	return r
}
