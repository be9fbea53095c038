package labinit

import (
	"encoding/json"
	"fmt"
	"time"

	"drydock.dev/drydock/harness/cluster/lab/machineinit"
)

// lastWord is what a machine that has ended said of it: whether its kernel would have panicked, and after how many seconds it boots.
func (r *running) lastWord() (panicked bool, reboot int) {
	defer func() { _ = r.last.Close() }()
	var p machineinit.Panic
	if json.NewDecoder(r.last).Decode(&p) != nil { // it said nothing
		return false, 0
	}
	return true, p.Reboot
}

// bootsAfter has a machine boot by itself, unless somebody turns its switch before. The caller holds mu.
func (s *switchboard) bootsAfter(m Machine, after time.Duration) {
	_, _ = fmt.Fprintf(s.log, "machine %s has panicked and boots in %s\n", m.Name, after)
	turn := s.turns[m.Name]
	var timer *time.Timer
	timer = time.AfterFunc(after, func() {
		turn.Lock()
		defer turn.Unlock()
		s.mu.Lock()
		due := s.boots[m.Name] == timer
		delete(s.boots, m.Name)
		s.mu.Unlock()
		if !due {
			return
		}
		if err := s.start(m); err != nil {
			_, _ = fmt.Fprintf(s.log, "machine %s does not boot after its panic: %v\n", m.Name, err)
		}
	})
	s.boots[m.Name] = timer
}

// bootsNot is for who turns the switch of a machine that would have booted by itself.
func (s *switchboard) bootsNot(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.boots[name]; t != nil {
		t.Stop()
		delete(s.boots, name)
	}
}
