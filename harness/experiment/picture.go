package experiment

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

// draw writes a picture of each history that no order explains beside the evidence, and names it in the check. Without one the verdict is the same.
func (e *Evidence) draw(dir string, res *plan.Result) {
	for i := range res.Checks {
		c := &res.Checks[i]
		if c.Name != "linearizable" || c.Verdict != plan.Fail {
			continue
		}
		for _, h := range e.Record.Histories {
			file, err := picture(dir, e.Label, h)
			switch {
			case err != nil:
				c.Message += "; not drawn: " + err.Error()
			case file != "":
				c.Message += "; drawn in " + file
			}
		}
	}
}

// picture writes one history's; no name: there is nothing to be shown.
func picture(dir, label string, h load.History) (string, error) {
	var page bytes.Buffer
	if err := load.Visualise(h.Ops, &page); err != nil || page.Len() == 0 {
		return "", err
	}
	file := strings.TrimSuffix(evidenceName(label), ".json.gz") + "-" + strings.Map(inFileName, strings.ToLower(h.Name)) + ".html"
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("picture: %w", err)
	}
	defer func() { _ = root.Close() }()
	if err := root.WriteFile(file, page.Bytes(), 0o600); err != nil {
		return "", fmt.Errorf("picture: %w", err)
	}
	return file, nil
}

// inFileName is a letter of a name that evidence gives, where that is part of a file's.
func inFileName(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}
