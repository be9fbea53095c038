package plan

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile keeps a value beside a journal as JSON, whole or not at all: who goes on after a crash reads the old one or the new one, and never half of
// one. A write that fails (a full disk) leaves the old one in its place.
func WriteFile(file string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
