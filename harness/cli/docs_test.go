package cli

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"drydock.dev/drydock/docs"
	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/provider"
	"drydock.dev/drydock/scenarios"
)

const tree = "../.."

// TestTheDocsAreTrue: whatever a page shows to be typed is accepted as it stands, whatever it names is there, and every block is one that a test knows
// what to do with. What is not typed by suites/docs is counted here: who leaves more to the reader has to say so.
func TestTheDocsAreTrue(t *testing.T) {
	pages, err := docs.Read(tree)
	if err != nil {
		t.Fatal(err)
	}
	left, typed := map[string]int{}, 0
	linked := func(page string) bool {
		return slices.ContainsFunc(pages[0].Links, func(l docs.Text) bool { return l.Text == page })
	}
	for i, p := range pages {
		if i > 0 && !linked(p.Path) {
			t.Errorf("%s: the README does not lead there", p.Path)
		}
		for _, wrong := range mistakes(p) {
			t.Error(wrong)
		}
		for _, b := range p.Blocks {
			switch {
			case b.NotRun != "":
				left[b.NotRun]++
			case b.Language == "console":
				typed++
			}
		}
	}
	want := map[string]int{"builds": 3, "ci": 1, "cloud": 2, "kind": 3, "kubernetes": 8, "staging": 2, "waits": 4}
	if !maps.Equal(left, want) {
		t.Errorf("blocks that no test types, by reason: %v; want %v", left, want)
	}
	t.Logf("%d pages, %d blocks that are typed, %v that are not", len(pages), typed, left)
}

// TestMistakesInDocsAreSeen: each of them, and nothing else.
func TestMistakesInDocsAreSeen(t *testing.T) {
	console := func(s string) string { return "# Page\n\n```console\n" + s + "\n```\n" }
	for page, want := range map[string]string{
		console("$ drydock run etcd-leader-crash --out r"):                      "",
		console("$ drydock run etcd-leader-crash --outt r"):                     "unknown flag: --outt",
		console("$ drydock run etcd-leader-crush"):                              "etcd-leader-crush is no scenario",
		console("$ drydock run scenarios/nothing.yaml"):                         "scenarios/nothing.yaml is not there",
		console("$ drydock rum etcd-leader-crash"):                              `unknown command "rum"`,
		console("$ drydock plan"):                                               "accepts 1 arg(s)",
		console("$ A=1 drydock fault inject etcdMemberCrush"):                   "etcdMemberCrush is no fault",
		console("$ drydock arm fault inject throtle"):                           "throtle is no fault of the twin",
		console("$ drydock up --provider cloud"):                                "cloud is no provider",
		console("$ cat x | drydock report --jason x"):                           "unknown flag: --jason",
		console("$ echo $(drydock report trend --jason)"):                       "unknown flag: --jason",
		console("$ drydock report 'x"):                                          "reached EOF",
		console("$ make rum"):                                                   "make rum",
		console("GO"):                                                           "is no command, and none is before it",
		"    drydock run etcd-leader-crash\n":                                   "say what it is",
		"```\ndrydock\n```\n":                                                   "say what it is",
		"```sh\ndrydock rum\n```\n":                                             `unknown command "rum"`,
		"```yaml\n- run: bin/drydock rum && true\n```\n":                        `unknown command "rum"`,
		"```yaml\na: [1\n```\n":                                                 "did not find expected",
		"```yaml\nkind: Scenario\nspec: {stops: []}\n```\n":                     "stops",
		"```go\n// harness/fault/fault.go\n	Inject(ctx context.Context)\n```\n": "harness/fault/fault.go has no",
		"```go\nvar x int\n```\n":                                               "is not there",
		"Type `drydock rum NAME|FILE`.":                                         `unknown command "rum"`,
		"Type `drydock run NAME|FILE --out DIR`.":                               "",
		"See `harness/fault/guard.go` and `harness/*/root.go`":                  "",
		"See `harness/fault/guart.go`":                                          "harness/fault/guart.go is not there",
		"See [it](nothing.md)":                                                  "nothing.md is not there",
		"See [it](README.md#nothing-of-the-kind)":                               "no heading nothing-of-the-kind",
		"# Here it is\n\n[it](#here-it-is)":                                     "",
	} {
		p, err := docs.Parse("page.md", []byte(page))
		if err != nil {
			t.Errorf("%s: %v", page, err)
			continue
		}
		got := mistakes(p)
		if want == "" && len(got) != 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
			t.Errorf("%s\nsays %q; want %q", page, got, want)
		}
	}
	for _, mark := range []string{"<!-- not run: because -->", "<!-- notrun: kind -->", "<!-- not run: kind"} {
		if _, err := docs.Parse("page.md", []byte(mark+"\n\n```console\n$ true\n```\n")); err == nil {
			t.Errorf("%s is heeded", mark)
		}
	}
}

// mistakes are what is not so on a page.
func mistakes(p docs.Page) []string {
	var out []string
	say := func(line int, format string, args ...any) {
		out = append(out, fmt.Sprintf("%s:%d: %s", p.Path, line, fmt.Sprintf(format, args...)))
	}
	for _, b := range p.Blocks {
		for line, script := range scripts(b, say) {
			typed, err := commands(script)
			if err != nil {
				say(line, "%v", err)
			}
			for _, words := range typed {
				if err := one(words); err != nil {
					say(line, "%q: %v", script, err)
				}
			}
		}
	}
	for _, s := range p.Spans {
		words := strings.Fields(s.Text)
		if len(words) > 1 && slices.Contains([]string{"drydock", "bin/drydock", "make"}, words[0]) {
			typed, err := commands(s.Text)
			if err == nil && !isCommand(words[1:]) { // which is only called by its name here
				err = one(typed[0])
			}
			if err != nil {
				say(s.Line, "%q: %v", s.Text, err)
			}
		}
		if err := exists(s.Text); err != nil {
			say(s.Line, "%v", err)
		}
	}
	for _, l := range p.Links {
		if err := leads(p, l.Text); err != nil {
			say(l.Line, "%v", err)
		}
	}
	return out
}

// isCommand reports whether the words are a command's name and nothing else.
func isCommand(words []string) bool {
	c, rest, err := newRoot().Find(words)
	return err == nil && c.HasParent() && len(rest) == 0
}

// scripts are the pieces of shell of a block, by their lines.
func scripts(b docs.Block, say func(line int, format string, args ...any)) map[int]string {
	out := map[int]string{}
	switch b.Language {
	case "console":
		cmds, err := b.Commands()
		if err != nil {
			say(b.Line, "%v", err)
		}
		for _, c := range cmds {
			out[c.Line] = c.Text
		}
	case "sh", "bash":
		out[b.Line] = b.Text
	case "yaml":
		for i, line := range strings.Split(b.Text, "\n") {
			if at := regexp.MustCompile(`bin/drydock .*`).FindString(line); at != "" {
				out[b.Line+i] = at
			}
		}
		if err := yaml.Unmarshal([]byte(b.Text), new(any)); err != nil {
			say(b.Line, "%v", err)
		}
		if strings.Contains(b.Text, "kind: Scenario") {
			if _, err := experiment.Parse("block.yaml", []byte(b.Text)); err != nil {
				say(b.Line, "%v", err)
			}
		}
	case "go":
		if err := excerpt(b.Text); err != nil {
			say(b.Line, "%v", err)
		}
	case "":
		say(b.Line, "a block of code with no word beside its fence: say what it is, console, sh, yaml, go or text")
	}
	return out
}

// excerpt says which line of a piece of Go is not in the file that its first line names.
func excerpt(text string) error {
	first, rest, _ := strings.Cut(text, "\n")
	path := strings.TrimPrefix(first, "// ")
	raw, err := os.ReadFile(filepath.Join(tree, path))
	if err != nil {
		return fmt.Errorf("%s is not there: the first line of a piece of Go is its file", path)
	}
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); !strings.Contains(string(raw), line) {
			return fmt.Errorf("%s has no %q", path, line)
		}
	}
	return nil
}

// one holds a command to what there is.
func one(words []string) error {
	switch words[0] {
	case "make":
		raw, err := os.ReadFile(filepath.Join(tree, "Makefile"))
		if err != nil {
			return err
		}
		for _, target := range words[1:] {
			if !strings.Contains(string(raw), "\n"+target+":") {
				return fmt.Errorf("make %s: there is no such target", target)
			}
		}
		return nil
	case "drydock", "bin/drydock":
		c, err := accepts(words[1:])
		if err != nil {
			return err
		}
		return named(c)
	}
	return exists(words[0])
}

// named says what of its arguments there is not. What is written in capitals stands for something.
func named(c *cobra.Command) error {
	there := func(what string, args []string, known []string) error {
		for _, a := range args {
			if a != strings.ToUpper(a) && !slices.Contains(known, a) {
				return fmt.Errorf("%s is no %s; known: %s", a, what, strings.Join(known, ", "))
			}
		}
		return nil
	}
	if p := c.Flags().Lookup("provider"); p != nil && p.Changed {
		if err := there("provider", []string{p.Value.String()}, provider.Names()); err != nil {
			return err
		}
	}
	args := c.Flags().Args()
	switch path := strings.TrimPrefix(c.CommandPath(), "drydock "); path {
	case "run", "plan", "scenarios show", "scenarios lint":
		for _, a := range args {
			if err := exists(a); err != nil {
				return err
			}
		}
		args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.ContainsAny(a, ".$") })
		return there("scenario", args, scenarios.Names())
	case "fault inject":
		var known []string
		for _, k := range fault.List() {
			known = append(known, k.Name)
		}
		return there("fault", args[:1], known)
	case "arm fault inject":
		return there("fault of the twin", args[:1], slices.Sorted(maps.Keys(azure.FaultKinds())))
	}
	return nil
}

// ours are paths of the tree, as pages name them.
var ours = regexp.MustCompile(`^(docs|fixtures|hack|harness|reports|scenarios|suites)/[^ ]*$`)

// exists says that a path of the tree is not there. One with capitals stands for many; any other that begins otherwise is the reader's.
func exists(path string) error {
	if !ours.MatchString(path) || regexp.MustCompile(`[A-Z]{2}|…|[()|]`).MatchString(path) {
		return nil
	}
	if found, err := filepath.Glob(filepath.Join(tree, path)); err != nil || len(found) == 0 {
		return fmt.Errorf("%s is not there", path)
	}
	return nil
}

// leads says that a link leads nowhere. Those to other hosts are not followed.
func leads(p docs.Page, link string) error {
	if strings.Contains(link, "://") {
		return nil
	}
	path, anchor, _ := strings.Cut(link, "#")
	to := filepath.Join(tree, filepath.Dir(p.Path), path)
	if path != "" {
		if _, err := os.Stat(to); err != nil {
			return fmt.Errorf("%s is not there", link)
		}
		if anchor == "" {
			return nil
		}
		raw, err := os.ReadFile(to)
		if err != nil {
			return err
		}
		if p, err = docs.Parse(path, raw); err != nil {
			return err
		}
	}
	for _, h := range p.Headings {
		h = regexp.MustCompile(`[^\p{L}\p{N}\- _]`).ReplaceAllString(strings.ToLower(h), "") // as GitHub makes them
		if strings.ReplaceAll(h, " ", "-") == anchor {
			return nil
		}
	}
	return fmt.Errorf("%s: no heading %s there", link, anchor)
}
