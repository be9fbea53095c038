package docs

import (
	"slices"
	"strings"
	"testing"
)

// TestAPageIsRead: its blocks with their marks, the commands of a session with what they print, and its tables.
func TestAPageIsRead(t *testing.T) {
	p, err := Parse("page.md", []byte("# A page\n\n<!-- file: x.yaml -->\n```yaml\na: 1\n```\n\n- a list\n\n  <!-- not run: kind -->\n  ```console\n  $ one \\\n  > more\n  said\n  $ two\n  ```\n\n"+
		"See `drydock run` and [it](x.md).\n\n| message | why |\n|---|---|\n| `no … of \"x\"` | because |\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Blocks) != 2 || p.Blocks[0].File != "x.yaml" || p.Blocks[0].NotRun != "" || p.Blocks[1].NotRun != "kind" || p.Blocks[1].File != "" {
		t.Fatalf("%+v", p.Blocks)
	}
	cmds, err := p.Blocks[1].Commands()
	if err != nil || len(cmds) != 2 || cmds[0].Text != "one \\\nmore" || cmds[0].Line != 12 || !slices.Equal(cmds[0].Printed, []string{"said"}) || cmds[1].Text != "two" || cmds[1].Printed != nil {
		t.Errorf("%+v, %v", cmds, err)
	}
	if len(p.Spans) != 2 || p.Spans[0] != (Text{Line: 18, Text: "drydock run"}) || len(p.Links) != 1 || p.Links[0].Text != "x.md" || !slices.Equal(p.Headings, []string{"A page"}) {
		t.Errorf("%+v, %+v, %q", p.Spans, p.Links, p.Headings)
	}
	if len(p.Tables) != 1 || len(p.Tables[0]) != 2 || p.Tables[0][1][0] != `no … of "x"` {
		t.Errorf("%q", p.Tables)
	}
}

// TestWhatIsPrintedIsHeldToThePage: line by line, and … is anything.
func TestWhatIsPrintedIsHeldToThePage(t *testing.T) {
	for name, c := range map[string]struct {
		page, said string
		want       bool
	}{
		"the same":               {"GO x\nReports: r", "GO x\nReports: r\n\n", true},
		"nothing said":           {"", "whatever", true},
		"another word":           {"GO x", "NO-GO x\n", false},
		"more before":            {"GO x", "first\nGO x\n", false},
		"more before, elided":    {"…\nGO x", "first\nsecond\nGO x\n", true},
		"nothing before, elided": {"…\nGO x", "GO x\n", true},
		"more behind":            {"GO x", "GO x\nReports: r\n", false},
		"more behind, elided":    {"GO x\n…", "GO x\nReports: r\n", true},
		"a part elided":          {"GO x (… s, seed 1)", "GO x (30 s, seed 1)\n", true},
		"a part of another line": {"GO x (… s, seed 1)", "GO x (30\n s, seed 1)\n", false},
		"signs of patterns":      {"a.c (x) [y]", "abc (x) [y]\n", false},
		"printed nothing":        {"GO x", "", false},
	} {
		cmd := Command{}
		if c.page != "" {
			cmd.Printed = strings.Split(c.page, "\n")
		}
		if got := cmd.Shows(c.said); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
