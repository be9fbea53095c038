package runtime

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// logFile is a container's log in the CRI format: "TIME STREAM TAG LINE", where the tag is F for a full line and P for a part.
type logFile struct {
	path string

	mu       sync.Mutex
	file     *os.File
	watchers map[io.Writer]struct{} // who has attached
}

const maxLine = 16 << 10 // longer lines are cut into parts, as the other runtimes do

// open opens the file, or opens it again after a rename.
func (l *logFile) open() error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close()
	}
	l.file = f
	return nil
}

func (l *logFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

func (l *logFile) write(stream, tag string, line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return
	}
	// A full disk loses log lines, not the container: as in the other runtimes.
	_, _ = fmt.Fprintf(l.file, "%s %s %s %s\n", time.Now().UTC().Format(time.RFC3339Nano), stream, tag, line)
}

func (l *logFile) attach(w io.Writer) (detach func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watchers == nil {
		l.watchers = map[io.Writer]struct{}{}
	}
	l.watchers[w] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, w)
	}
}

func (l *logFile) stream(name string) *logStream { return &logStream{log: l, name: name} }

// logStream cuts what a process writes into lines.
type logStream struct {
	log  *logFile
	name string

	mu      sync.Mutex
	pending []byte
}

// Write never fails: a process must not end because its log cannot be written.
func (s *logStream) Write(p []byte) (int, error) {
	s.log.mu.Lock()
	for w := range s.log.watchers {
		_, _ = w.Write(p)
	}
	s.log.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, p...)
	for {
		i := bytes.IndexByte(s.pending, '\n')
		switch {
		case i >= 0 && i <= maxLine:
			s.log.write(s.name, "F", s.pending[:i])
			s.pending = s.pending[i+1:]
		case len(s.pending) > maxLine:
			s.log.write(s.name, "P", s.pending[:maxLine])
			s.pending = s.pending[maxLine:]
		default:
			return len(p), nil
		}
	}
}

func (s *logStream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) > 0 {
		s.log.write(s.name, "P", s.pending)
		s.pending = nil
	}
}
