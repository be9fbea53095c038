package plan

import (
	"os"
	"path/filepath"

	"drydock.dev/drydock/harness/wholefile"
)

// WriteFile keeps a value beside a journal as JSON: who goes on after a crash reads the old one or the new one, and never half of one.
func WriteFile(file string, v any) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return wholefile.WriteJSON(file, 0o600, v)
}
