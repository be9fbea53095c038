package experiment

import (
	"bytes"
	"strings"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

// draw makes a picture of each history that no order explains, to be put beside the evidence, and names it in the check. Without one the verdict is the same.
func (e *Evidence) draw(res *plan.Result) {
	for i := range res.Checks {
		c := &res.Checks[i]
		if c.Name != "linearizable" || c.Verdict != plan.Fail {
			continue
		}
		for _, h := range e.Record.Histories {
			var page bytes.Buffer
			switch err := load.Visualise(h.Ops, &page); {
			case err != nil:
				c.Message += "; not drawn: " + err.Error()
			case page.Len() > 0:
				file := strings.TrimSuffix(evidenceName(e.Label), ".json.gz") + "-" + strings.Map(inFileName, strings.ToLower(h.Name)) + ".html"
				c.Message += "; drawn in " + file
				res.Pictures = append(res.Pictures, plan.Picture{File: file, Page: page.Bytes()})
			}
		}
	}
}

// inFileName is a letter of a name that evidence gives, where that is part of a file's.
func inFileName(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}
