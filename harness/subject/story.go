package subject

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/cluster"
)

// story is one subject against its twin.
type story struct {
	run  *Run
	told Told // but for the calls

	twin   *azure.Twin
	server *azure.Server
	admin  *azure.Client
	clock  arm.Clock
	cmd    *exec.Cmd
	in     io.WriteCloser

	mu    sync.Mutex    // of what was asked and answered
	ended chan struct{} // the subject's output has ended
}

// tell gives what is known by now.
func (s *story) tell() Told {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.told
	t.Answers, t.Faults = slices.Clone(t.Answers), slices.Clone(t.Faults)
	if s.twin != nil {
		t.Calls, _ = s.twin.Calls().Since(0)
		if wall := s.clock.Wall(time.Second); wall > 0 { // a clock that stands still has none
			t.Factor = float64(time.Second) / float64(wall)
		}
	}
	return t
}

// subjectPrincipal is who the subject is to the twin.
const subjectPrincipal = "cloud-provider"

// start serves the twin, fills it and starts the subject cold.
func (s *story) start(ctx context.Context) error {
	spec := s.run.Spec
	policy, err := throttle.LoadPolicy(spec.Policy)
	if err != nil {
		return err
	}
	if s.clock, err = arm.ParseClock(spec.Clock); err != nil {
		return err
	}
	timings, err := spec.timings()
	if err != nil {
		return err
	}
	if s.twin, err = azure.New(azure.Options{Clock: s.clock, Policy: policy, Timings: timings, Hostile: spec.Hostile, Seed: uint64(s.run.Seed)}); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir(), 0o755); err != nil {
		return fmt.Errorf("%s: %w", s.told.Subject.Name, err)
	}
	s.server, err = s.twin.Serve(ctx, azure.Listen{Address: "127.0.0.1:0", CAOut: filepath.Join(s.dir(), "ca.pem"), ReadyFile: filepath.Join(s.dir(), "ready.json")})
	if err != nil {
		return err
	}
	if s.admin, err = azure.NewClient(ctx, s.server.Ready, s.server.CA, "admin"); err != nil {
		return err
	}
	if err := s.fill(ctx); err != nil {
		return err
	}
	if err := s.spawn(); err != nil {
		return err
	}
	return s.ask(ctx, nodeName(0, 0))
}

// fill makes the scale sets.
func (s *story) fill(ctx context.Context) error {
	moment := state.Span{Min: time.Millisecond, Max: time.Millisecond}
	s.twin.SetTiming("Microsoft.Compute/virtualMachineScaleSets", state.Timing{Create: moment, Update: moment})
	if err := s.admin.Do(ctx, http.MethodPut, "resourceGroups/g", map[string]any{"location": "westeurope"}, nil); err != nil {
		return err
	}
	for i := range s.run.Spec.ScaleSets {
		if err := s.scale(ctx, i, 2); err != nil {
			return err
		}
	}
	return nil
}

func setName(i int) string { return fmt.Sprintf("vmss-%03d", i) }

// nodeName is an instance's host name: the scale set's prefix and its id in base 36.
func nodeName(set, instance int) string {
	return fmt.Sprintf("%s%06s", setName(set), strconv.FormatInt(int64(instance), 36))
}

func (s *story) scale(ctx context.Context, set, capacity int) error {
	nic := map[string]any{"name": "nic", "properties": map[string]any{"primary": true, "ipConfigurations": []any{map[string]any{"name": "ipconfig", "properties": map[string]any{"primary": true}}}}}
	return s.admin.Do(ctx, http.MethodPut, "resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/"+setName(set), map[string]any{
		"location": "westeurope", "sku": map[string]any{"name": "Standard_D2s_v3", "capacity": capacity},
		"properties": map[string]any{"virtualMachineProfile": map[string]any{
			"osProfile":      map[string]any{"computerNamePrefix": setName(set)},
			"networkProfile": map[string]any{"networkInterfaceConfigurations": []any{nic}},
		}},
	}, nil)
}

// spawn starts the subject and reads what it says.
func (s *story) spawn() error {
	// adfs: the authority of a private cloud. Today's provider asks login.microsoftonline.com about any other that it does not know.
	s.cmd = exec.Command(s.run.programs[s.told.Subject.Name], "--ready-file", filepath.Join(s.dir(), "ready.json"), "--principal", subjectPrincipal, "--tenant", "adfs") //nolint:noctx // ended by stop
	s.cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+filepath.Join(s.dir(), "ca.pem"))
	log, err := os.Create(filepath.Join(s.dir(), "subject.log"))
	if err != nil {
		return fmt.Errorf("%s: %w", s.told.Subject.Name, err)
	}
	defer func() { _ = log.Close() }()
	s.cmd.Stderr = log
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return fmt.Errorf("%s: %w", s.told.Subject.Name, err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", s.told.Subject.Name, err)
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", s.told.Subject.Name, err)
	}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var a Answer
			if json.Unmarshal(lines.Bytes(), &a) == nil {
				s.mu.Lock()
				s.told.Answers = append(s.told.Answers, a)
				s.mu.Unlock()
			}
		}
	}()
	return nil
}

func (s *story) answer(command string) (Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range slices.Backward(s.told.Answers) {
		if s.told.Answers[i].Command == command {
			return s.told.Answers[i], true
		}
	}
	return Answer{}, false
}

// send gives the subject a command.
func (s *story) send(command string) error {
	s.mu.Lock()
	s.told.Asked++
	s.mu.Unlock()
	if _, err := io.WriteString(s.in, command+"\n"); err != nil {
		return fmt.Errorf("%s: %w (its log: %s)", s.told.Subject.Name, err, filepath.Join(s.dir(), "subject.log"))
	}
	return nil
}

// ask looks a node up and waits for the answer, which must be a good one.
func (s *story) ask(ctx context.Context, node string) error {
	command := "node " + node
	if err := s.send(command); err != nil {
		return err
	}
	return cluster.Await(ctx, s.told.Subject.Name+" finds "+node, cluster.Wait{For: 30 * time.Second, Every: 20 * time.Millisecond}, func(context.Context) error {
		a, ok := s.answer(command)
		switch {
		case !ok:
			return errors.New("no answer")
		case a.Error != "":
			return errors.New(a.Error)
		}
		return nil
	})
}

func (s *story) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(s.clock.Wall(d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", s.told.Subject.Name, context.Cause(ctx))
	}
}

// replace makes a new instance in a scale set and gives its node's name.
func (s *story) replace(ctx context.Context, n int) (string, error) {
	set := n % s.run.Spec.ScaleSets // another set each time
	nth := 2 + n/s.run.Spec.ScaleSets
	if err := s.scale(ctx, set, nth+1); err != nil {
		return "", err
	}
	return nodeName(set, nth), s.pause(ctx, time.Second) // the scale set's operation ends in a moment
}

// replaceNodes lets a node come every so often and asks the provider about it, as a controller does: without waiting for the one before.
func (s *story) replaceNodes(ctx context.Context) error {
	_, s.told.Warm = s.twin.Calls().Since(0)
	s.told.Begun = s.clock.Now()
	for n := range s.run.Spec.Nodes {
		if err := s.arm(n + 1); err != nil {
			return err
		}
		node, err := s.replace(ctx, n)
		if err != nil {
			return err
		}
		if n == 0 {
			if err := s.ask(ctx, node); err != nil {
				return err
			}
			_, s.told.First = s.twin.Calls().Since(0)
		} else if err := s.send("&node " + node); err != nil {
			return err
		}
		s.told.Last = s.clock.Now()
		if err := s.pause(ctx, s.run.Spec.Every); err != nil {
			return err
		}
	}
	return nil
}

// arm begins the faults that are due at a node.
func (s *story) arm(node int) error {
	for _, f := range s.run.Spec.Faults {
		if f.AtNode != node || s.run.NullFaults {
			continue
		}
		armed, err := s.twin.Arm(f.Fault)
		if err != nil {
			return err
		}
		s.told.Faults = append(s.told.Faults, armed)
	}
	return nil
}

// after asks about another new node until it is found.
func (s *story) after(ctx context.Context) error {
	node, err := s.replace(ctx, s.run.Spec.Nodes)
	if err != nil {
		return err
	}
	for s.clock.Now().Sub(s.told.Last) < s.run.Spec.Patience {
		if s.ask(ctx, node) == nil {
			s.told.Served, s.told.Again = true, s.clock.Now().Sub(s.told.Last)
			return nil
		}
		s.forget("node " + node)
		if err := s.pause(ctx, 30*time.Second); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) forget(command string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told.Answers = slices.DeleteFunc(s.told.Answers, func(a Answer) bool { return a.Command == command })
}

// stop ends the subject and the twin.
func (s *story) stop(context.Context) error {
	var errs []error
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.in.Close()
		_ = s.cmd.Process.Kill() // it may still sleep through a Retry-After
		<-s.ended
		_ = s.cmd.Wait()
	}
	if s.server != nil {
		errs = append(errs, s.server.Close(), s.keepCalls())
	}
	return errors.Join(errs...)
}

// keepCalls writes the twin's call log into the run's directory: the evidence behind the table.
func (s *story) keepCalls() (err error) {
	f, err := os.Create(filepath.Join(s.dir(), "calls.jsonl"))
	if err != nil {
		return fmt.Errorf("%s: %w", s.told.Subject.Name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	calls, _ := s.twin.Calls().Since(0)
	e := json.NewEncoder(f)
	for _, c := range calls {
		if err := e.Encode(c); err != nil {
			return fmt.Errorf("%s: %w", s.told.Subject.Name, err)
		}
	}
	return nil
}
