package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"drydock.dev/drydock/harness/plan"
)

// asRun has the test's program be a run of drydock that has come to the middle of a fault, and stays there until it is interrupted.
const asRun = "DRYDOCK_TEST_RUN"

// events are those of a recorded run, as if it had begun so long ago.
func events(t *testing.T, ago time.Duration) []plan.Entry {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "experiment", "live", "testdata", "etcd-leader-crash.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out []plan.Entry
	for line := range bytes.Lines(raw) {
		var e plan.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	late := time.Since(out[0].Time) - ago
	for i := range out {
		out[i].Time = out[i].Time.Add(late)
	}
	return out
}

// TestBeARun is no test, but what the tests below run in a terminal.
func TestBeARun(t *testing.T) {
	how := os.Getenv(asRun)
	if how == "" {
		t.Skip("the tests below run it")
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	context.AfterFunc(ctx, stop) // as Main has it
	o := &options{noColor: how == "colourless"}
	o.progress = o.newProgress(os.Stderr)
	w := o.progress.watch(ctx, "/the/run")
	done := o.progress.Phase("booting from a saved cluster")
	held := false
	for _, e := range events(t, 12*time.Second) {
		if !held && e.Time.After(time.Now()) {
			held = true
			done(nil)
			<-ctx.Done()
			if how == "stuck" {
				select {} // healing takes for ever
			}
			<-time.After(time.Second) // it takes a while
		}
		w.see(e)
	}
	w.end()
	printf(os.Stderr, "it is over\n")
	os.Exit(exitInconclusive)
}

// terminal is a run in a terminal, and all that it has written there.
type terminal struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	said bytes.Buffer
	gone chan struct{}
}

func runInTerminal(t *testing.T, how string, env ...string) *terminal {
	t.Helper()
	term := &terminal{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBeARun$"), gone: make(chan struct{})}
	term.cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", "NO_COLOR=", asRun+"="+how), env...)
	tty, err := pty.StartWithSize(term.cmd, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	term.tty = tty
	go func() {
		defer close(term.gone)
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			term.mu.Lock()
			term.said.Write(buf[:n])
			term.mu.Unlock()
			if err != nil { // the last who had it open is gone
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = term.cmd.Process.Kill()
		_ = tty.Close()
	})
	return term
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.said.String()
}

// sees waits until all is written, after what was there before.
func (term *terminal) sees(after int, all ...string) {
	term.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, want := range all {
		for !strings.Contains(term.text()[after:], want) {
			select {
			case <-tick.C:
			case <-deadline:
				term.t.Fatalf("%q is not written: %q", want, term.text()[after:])
			}
		}
	}
}

// interrupt types Ctrl-C, and says how much was on the terminal before.
func (term *terminal) interrupt() int {
	term.t.Helper()
	before := len(term.text())
	if _, err := term.tty.WriteString(ctrlC); err != nil {
		term.t.Fatal(err)
	}
	return before
}

const ctrlC = "\x03"

// ends waits for the end of the run; the terminal is as it was found.
func (term *terminal) ends() error {
	term.t.Helper()
	<-term.gone
	text := term.text()
	if strings.LastIndex(text, "\x1b[?25l") > strings.LastIndex(text, "\x1b[?25h") {
		term.t.Errorf("the cursor stays hidden: %q", text)
	}
	return term.cmd.Wait()
}

// TestInterruptedOnce: the run is shown on, whatever becomes of the terminal, and ends by itself.
func TestInterruptedOnce(t *testing.T) {
	term := runInTerminal(t, "run")
	term.sees(0, "etcdMemberCrash on etcd-1 has its effect", "0 more of 3 members could be lost now, 0 at the worst", "Ctrl-C: heal", "\x1b[32m")
	before := len(term.text())
	if err := pty.Setsize(term.tty, &pty.Winsize{Rows: 14, Cols: 44}); err != nil {
		t.Fatal(err)
	}
	term.sees(before, "3 more that are over", "on etcd-1 has it…", "could be los…")
	if err := pty.Setsize(term.tty, &pty.Winsize{Rows: 30, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	before = term.interrupt()
	term.sees(before, "interrupted: what is broken is healed, what was seen is judged. Ctrl-C again: stop at once")
	err := term.ends()
	var code *exec.ExitError
	if !errors.As(err, &code) || code.ExitCode() != exitInconclusive {
		t.Errorf("ended with %v", err)
	}
	if text := term.text(); !strings.Contains(text[before:], "verdict  go\r\n") || !strings.HasSuffix(strings.TrimSpace(text), "it is over") {
		t.Errorf("the last picture, and what is printed after it: %q", text[before:])
	}
}

// TestInterruptedTwice: whoever waits no longer is told what is left to do, and the program ends as one that knows of no interrupts.
func TestInterruptedTwice(t *testing.T) {
	for how, env := range map[string]string{"stuck": "TERM=xterm", "stuck, line by line": "TERM=dumb"} {
		t.Run(how, func(t *testing.T) {
			term := runInTerminal(t, "stuck", env)
			term.sees(0, "4.3 hold for 10s", "bring up")
			if env == "TERM=xterm" {
				term.sees(0, "has its effect")
			}
			before := term.interrupt()
			term.sees(before, "interrupted: ")
			before = term.interrupt()
			err := term.ends()
			var code *exec.ExitError
			if !errors.As(err, &code) || code.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
				t.Errorf("ended with %v", err)
			}
			if text := term.text()[before:]; !strings.Contains(text, "stopped at once: `drydock heal /the/run` undoes what is left") {
				t.Errorf("%q", text)
			}
		})
	}
}

// TestPlainWhereAsked: a dumb terminal and a pipe get lines that nothing is done to, and who wants no colours none.
func TestPlainWhereAsked(t *testing.T) {
	for name, c := range map[string]struct {
		how, env string
		escapes  bool
	}{
		"NO_COLOR":   {"run", "NO_COLOR=1", true},
		"--no-color": {"colourless", "NO_COLOR=", true},
		"a dumb one": {"run", "TERM=dumb", false},
	} {
		t.Run(name, func(t *testing.T) {
			term := runInTerminal(t, c.how, c.env)
			term.sees(0, "4.2 await its effect")
			if c.escapes {
				term.sees(0, "Ctrl-C: heal")
			}
			term.interrupt()
			_ = term.ends() // as it does
			text := term.text()
			for _, color := range []string{"\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m"} {
				if strings.Contains(text, color) {
					t.Errorf("in colours: %q", text)
				}
			}
			if strings.Contains(text, "\x1b") != c.escapes {
				t.Errorf("drawn anew: %v, want %v: %q", !c.escapes, c.escapes, text)
			}
			if !c.escapes && (!strings.Contains(text, " ✓ 3 observe for 3s (") || !strings.Contains(text, " ! interrupted: ")) {
				t.Errorf("no line for each step: %q", text)
			}
		})
	}
	pipe := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBeARun$")
	pipe.Env = append(os.Environ(), "TERM=xterm", asRun+"=run")
	var said bytes.Buffer
	pipe.Stderr = &said
	if err := pipe.Start(); err != nil {
		t.Fatal(err)
	}
	interrupt := time.AfterFunc(3*time.Second, func() { _ = pipe.Process.Signal(os.Interrupt) })
	defer interrupt.Stop()
	_ = pipe.Wait() // as it does
	if strings.Contains(said.String(), "\x1b") || !strings.Contains(said.String(), " ✓ 7 take down (") {
		t.Errorf("into a pipe: %q", &said)
	}
}
