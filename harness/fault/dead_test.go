package fault

import (
	"context"
	"errors"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

// maker is who makes machines, and all of them: whether the kubelet of each runs.
type maker struct {
	cluster.Cluster
	pattern string
	spoilt  []string
	runs    map[string]bool
}

func (m *maker) Spoil(pattern string) { m.pattern = pattern }
func (m *maker) Spoilt() []string     { return m.spoilt }
func (m *maker) Machine(name string) (cluster.Machine, error) {
	if _, there := m.runs[name]; !there {
		return nil, errors.New("no machine " + name)
	}
	return made{maker: m, name: name}, nil
}

type made struct {
	cluster.Machine
	maker *maker
	name  string
}

func (m made) Name() string { return m.name }
func (m made) Exec(_ context.Context, c cluster.Command) (cluster.Result, error) {
	if line := strings.Join(c.Args, " "); strings.Contains(line, "systemctl start kubelet") {
		m.maker.runs[m.name] = true
	}
	if m.maker.runs[m.name] {
		return cluster.Result{Stdout: "active\n"}, nil
	}
	return cluster.Result{Stdout: "inactive\n"}, errors.New("exit 3")
}

func TestAMachineWhoseKubeletDiesIsSeenOnTheMachine(t *testing.T) {
	all := &maker{spoilt: []string{"old"}, runs: map[string]bool{"old": false, "master-1": true}}
	f, e := &deadOnArrival{pattern: "master-*"}, &Env{Pool: all, Cluster: all}
	if err := f.Inject(t.Context(), e, nil); err != nil || all.pattern != "master-*" {
		t.Fatal(all.pattern, err)
	}
	look := func(want string, see func() error) {
		t.Helper()
		if err := see(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	effective := func() error { _, err := f.Effective(t.Context(), e, nil); return err }
	recovered := func() error { _, err := f.Recovered(t.Context(), e, nil); return err }
	look("no machine that fits was made", effective)
	all.spoilt = append(all.spoilt, "master-1")
	look("is \"active\"", effective)
	all.runs["master-1"] = false
	look("", effective)
	look("is \"inactive\"", recovered)
	for range 2 {
		look("", func() error { return f.Recover(t.Context(), e, nil) })
	}
	look("", recovered)
	if all.pattern != "" || all.runs["old"] {
		t.Errorf("undone is what was not done: %+v", all)
	}
	all.runs["master-1"] = false
	delete(all.runs, "master-1") // somebody has replaced it meanwhile
	look("", recovered)
	f, e = &deadOnArrival{pattern: "x"}, &Env{}
	look("say spec.twin", func() error { return f.Inject(t.Context(), e, nil) })
	look("no twin", effective)
	look("", func() error { return f.Recover(t.Context(), e, nil) })
	look("", recovered)
	k, err := Find(DeadOnArrival)
	if err != nil {
		t.Fatal(err)
	}
	for says, p := range map[string]Params{"resource is missing": {}, `resource is "["`: {ARM: ARM{Resource: "["}}, "takes no status": {ARM: ARM{Resource: "a", Status: 500}}} {
		look(says, func() error { return k.Check(p) })
	}
}
