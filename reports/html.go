package reports

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports/certificate"
)

//go:embed page
var files embed.FS

// parts of the page, in the order in which they are put into it.
func scripts() []string {
	return []string{"uplot/uPlot.iife.min.js", "data.js", "draw.js", "timeline.js", "hands.js", "events.js", "curves.js", "start.js"}
}

func styles() []string { return []string{"uplot/uPlot.min.css", "ink.css", "page.css"} }

// Style is the style sheet of the page, for others that are to look like it.
func Style() (string, error) { return joined([]string{"ink.css", "page.css"}) }

// HTML writes the one-file page. It needs no network and no other file, and it runs no script but its own: whatever a machine has said is text.
// The certificate is that of its evidence, which cannot have the page in it yet.
func HTML(w io.Writer, r *plan.Result, c *certificate.Certificate) error {
	script, err := joined(scripts())
	if err != nil {
		return err
	}
	style, err := joined(styles())
	if err != nil {
		return err
	}
	v := newView(r)
	v.Certificate = c
	data, err := json.Marshal(v.pack()) // escapes <, > and &, so that nothing in it ends the element it is in
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	v.Style, v.Data = template.CSS(style), template.JS(data) //nolint:gosec // embedded here; made by encoding/json
	if len(r.Timelines)+len(r.Plots) > 0 {
		v.Script = template.JS("'use strict';(() => {\n" + script + "\n})();") //nolint:gosec // embedded here
	}
	v.Policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src " + ScriptHash(string(v.Script))
	t, err := template.New("page.html.tmpl").Funcs(template.FuncMap{"count": count, "size": size, "place": v.link, "seconds": seconds, "number": func(i int) int { return i + 1 }, "more": func(all []why, listed int) int { return len(all) - listed }}).ParseFS(files, "page/*.tmpl")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return t.Execute(w, v)
}

// ScriptHash names a script to the policy of a page, which then runs no other.
func ScriptHash(script string) string {
	sum := sha256.Sum256([]byte(script))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func joined(names []string) (string, error) {
	var b strings.Builder
	for _, n := range names {
		raw, err := files.ReadFile("page/" + n)
		if err != nil {
			return "", fmt.Errorf("report: %w", err)
		}
		b.Write(raw)
		b.WriteString("\n")
	}
	return b.String(), nil
}

func seconds(s float64) string {
	if s >= 100 {
		return fmt.Sprintf("%.0f s", s)
	}
	return fmt.Sprintf("%.1f s", s)
}
