package kind

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

// answer is what the fake daemon says to a command.
type answer struct {
	out, err string
	code     int
	fail     error // the program did not run at all
}

type exit int

func (exit) Error() string   { return "exit status" }
func (e exit) ExitCode() int { return int(e) }

// fake is a docker program that answers by the beginning of the command line, the longest that fits; what it was asked is kept.
type fake struct {
	mu      sync.Mutex
	answers map[string]answer
	asked   []string
	input   []string
}

func (f *fake) docker(_ context.Context, s streams, args ...string) error {
	line := strings.Join(args, " ")
	var in []byte
	if s.in != nil {
		in, _ = io.ReadAll(s.in)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.input = append(f.asked, line), append(f.input, string(in))
	best, said := "", answer{}
	for begin, a := range f.answers {
		if strings.HasPrefix(line, begin) && len(begin) >= len(best) {
			best, said = begin, a
		}
	}
	_, _ = io.Copy(s.out, bytes.NewBufferString(said.out))
	_, _ = io.Copy(s.err, bytes.NewBufferString(said.err))
	if said.fail != nil {
		return said.fail
	}
	if said.code != 0 {
		return exit(said.code)
	}
	return nil
}

func (f *fake) was(begin string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.asked {
		if strings.HasPrefix(a, begin) {
			return true
		}
	}
	return false
}

const up = `{"CgroupVersion":"1","OSType":"linux"}`

func provider(t *testing.T, answers map[string]answer) (*Provider, *fake) {
	t.Helper()
	f := &fake{answers: answers}
	return &Provider{StateDir: t.TempDir(), CacheDir: t.TempDir(), docker: f.docker}, f
}

func topology(name string, controlPlanes, workers int) cluster.Topology {
	return cluster.Topology{Name: name, ControlPlanes: controlPlanes, Workers: workers, Version: "v1.36.3"}.Complete()
}
