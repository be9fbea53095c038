package kind

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAContainerThatEndsThisMomentIsNotElsewhere: Docker says for a while that it runs.
func TestAContainerThatEndsThisMomentIsNotElsewhere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, who alone enters containers")
	}
	const nobody = 1 << 30 // beyond the largest pid there is
	says := func(pid int) answer {
		return answer{out: fmt.Sprintf(`[{"State":{"Running":true,"Pid":%d}}]`, pid)}
	}
	p, f := provider(t, map[string]answer{"container inspect": says(nobody)})
	n := &namespace{docker: p.cli(), container: "one"}
	if _, err := n.process(t.Context()); !errors.Is(err, errOutside) {
		t.Errorf("a process that was never seen here is another machine's: %v", err)
	}
	f.answers["container inspect"] = says(os.Getpid())
	if pid, err := n.process(t.Context()); err != nil || pid != os.Getpid() {
		t.Fatal(pid, err)
	}
	n.pid = nobody // it has ended
	f.answers["container inspect"] = says(nobody)
	if _, err := n.process(t.Context()); !errors.Is(err, unix.EHOSTDOWN) {
		t.Errorf("one that was seen here has ended: %v", err)
	}
	f.answers["container inspect"] = says(os.Getpid())
	if _, err := n.process(t.Context()); err != nil {
		t.Errorf("and is there again: %v", err)
	}
}
