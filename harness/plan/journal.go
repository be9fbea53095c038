package plan

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// JournalFile is the journal's name in a run's directory.
const JournalFile = "journal.jsonl"

// Entry is one line of a journal.
type Entry struct {
	Time time.Time       `json:"time"`
	Kind string          `json:"kind"` // run, step-started, step, receipt, observation, result
	Data json.RawMessage `json:"data"`
}

// Journal is the append-only record of a run. What undo needs is on the disk before it happens.
type Journal struct {
	mu   sync.Mutex
	file *os.File
}

// CreateJournal starts a journal in the directory, making it.
func CreateJournal(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, JournalFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &Journal{file: f}, nil
}

// AppendJournal goes on with the journal of an earlier run.
func AppendJournal(dir string) (*Journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, JournalFile), os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &Journal{file: f}, nil
}

// Write appends an entry and waits for the disk.
func (j *Journal) Write(kind string, data any) error { return j.write(kind, data, true) }

// Sample appends an entry that may be lost in a power cut.
func (j *Journal) Sample(kind string, data any) error { return j.write(kind, data, false) }

func (j *Journal) write(kind string, data any, sync bool) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("journal: %s: %w", kind, err)
	}
	line, err := json.Marshal(Entry{Time: time.Now(), Kind: kind, Data: raw})
	if err != nil {
		return fmt.Errorf("journal: %s: %w", kind, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if !sync {
		return nil
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Close closes the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

// ReadJournal reads a run's journal. A last line that a crash cut off is left out.
func ReadJournal(dir string) ([]Entry, error) {
	raw, err := os.ReadFile(filepath.Join(dir, JournalFile))
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	var out []Entry
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			break
		}
		out = append(out, e)
	}
	return out, lines.Err()
}
