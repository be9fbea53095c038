// Package docs types what the pages for users show, as a reader would who reads from the top: every command of a page in one shell, in order, with what it
// prints and its exit code held to what the page says.
package docs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/docs"
	"drydock.dev/drydock/harness/provider"
	"drydock.dev/drydock/suites/bootstrap"
)

var suite bootstrap.Suite

func TestDocs(t *testing.T) { bootstrap.Run(t, "Docs", &suite) }

const tree = "../.."

// TestLabelFilters: one that Ginkgo cannot read runs nothing at all, and nobody types them in a test.
func TestLabelFilters(t *testing.T) {
	filter, seen := regexp.MustCompile(`-ginkgo\.label-filter='([^']*)'`), 0
	for _, pattern := range []string{"*.md", "docs/*.md", "hack/*.sh"} {
		files, err := filepath.Glob(filepath.Join(tree, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range filter.FindAllStringSubmatch(string(raw), -1) {
				seen++
				if _, err := types.ParseLabelFilter(found[1]); err != nil {
					t.Errorf("%s: %s: %v", file, found[0], err)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no page has a filter any more")
	}
}

var _ = Describe("a reader types", Label("needs: etcd"), func() {
	pages, err := docs.Read(tree)
	if err != nil {
		panic(err) // there is no spec to fail yet
	}
	for _, p := range pages {
		if len(typed(p)) == 0 {
			continue
		}
		tier := "tier: quick"
		if slices.Contains([]string{"docs/certificate.md", "docs/ci.md", "docs/remedy.md"}, p.Path) { // more labs than there is time for
			tier = "tier: full"
		}
		It(p.Path, Label(tier), func(ctx context.Context) {
			if bootstrap.Provider() != provider.Names()[0] {
				Skip("the pages are of provider " + provider.Names()[0])
			}
			session(ctx, p)
		}, NodeTimeout(5*time.Minute))
	}

	It("and a page that is not true fails", Label("tier: quick"), func(ctx context.Context) {
		for page, want := range map[string]string{
			"$ drydock versions\n$ true":                               "",
			"$ false\n$ true":                                          "page.md:4: \"false\" ended with exit code 1, and nothing after it says so",
			"$ drydock plan nothing":                                   "ended with exit code 2",
			"$ drydock plan nothing\n$ echo $?\n2":                     "",
			"$ drydock plan nothing\n$ echo $?\n3":                     "printed:\n2\n",
			"$ drydock scenarios lint " + "missing.yaml\n$ echo $?\n2": "",
			"$ cd /\n$ pwd\n/":                                         "",
			"$ drydock versions > v\n$ grep -c etcd v\nno number":      "printed:",
			"$ exit 0\n$ echo never":                                   "\"exit 0\" was not reached",
			"$ sleep 1000 &\n$ drydock arm policies >/dev/null":        "",
		} {
			p, err := docs.Parse("page.md", []byte("# Page\n\n```console\n"+page+"\n```\n"))
			Expect(err).NotTo(HaveOccurred())
			got := strings.Join(untrue(ctx, p), "\n")
			if want == "" {
				Expect(got).To(BeEmpty(), page)
			} else {
				Expect(got).To(ContainSubstring(want), page)
			}
		}
	}, NodeTimeout(2*time.Minute))
})

// session types a page.
func session(ctx context.Context, p docs.Page) {
	GinkgoHelper()
	Expect(untrue(ctx, p)).To(BeEmpty())
}

// typed are the commands of a page that are typed, in order.
func typed(p docs.Page) []docs.Command {
	var out []docs.Command
	for _, b := range p.Blocks {
		if b.Language != "console" || b.NotRun != "" {
			continue
		}
		cmds, err := b.Commands()
		if err != nil {
			panic(fmt.Errorf("%s: %w", p.Path, err)) // harness/cli tells it of all pages
		}
		out = append(out, cmds...)
	}
	return out
}

// untrue types the commands of a page into one shell in an empty directory, and says which did not do what the page says. What they have started ends with it.
func untrue(ctx context.Context, p docs.Page) []string {
	GinkgoHelper()
	dir, err := os.MkdirTemp(suite.Host.StateDir, "reader-") // of a lab that is left the state goes with the directory, and so it ends
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(os.RemoveAll(dir)).To(Succeed()) }()
	work, bin := filepath.Join(dir, "work"), filepath.Join(dir, "bin")
	Expect(os.Mkdir(work, 0o755)).To(Succeed())
	Expect(os.Mkdir(bin, 0o755)).To(Succeed())
	Expect(os.Symlink(suite.Host.Program, filepath.Join(bin, "drydock"))).To(Succeed())
	for _, b := range p.Blocks {
		if b.File != "" {
			Expect(os.WriteFile(filepath.Join(work, b.File), []byte(b.Text), 0o644)).To(Succeed())
		}
	}
	cmds := typed(p)
	var script bytes.Buffer
	for _, c := range cmds {
		fmt.Fprintf(&script, "%s\nended=$?; printf '\\n%s%%d\\n' $ended; (exit $ended)\n", c.Text, mark)
	}
	sh := exec.CommandContext(ctx, "bash", "-s")
	sh.Dir, sh.Stdin = work, &script
	sh.Env = append(os.Environ(), "HOME="+dir, "PATH="+bin+":"+os.Getenv("PATH"), "DRYDOCK_STATE_DIR="+filepath.Join(dir, "state"), "DRYDOCK_CACHE_DIR="+suite.Host.CacheDir)
	sh.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	sh.WaitDelay = time.Second // for what it has left in the background
	var said bytes.Buffer
	sh.Stdout, sh.Stderr = &said, &said
	_ = sh.Run() // its own exit code is the last command's, which is judged below
	_ = syscall.Kill(-sh.Process.Pid, syscall.SIGTERM)
	return held(p.Path, cmds, said.String())
}

// mark begins a line that no program prints, with the exit code of the command before.
const mark = "\x1eended "

// held compares what a shell has said with the commands it was given.
func held(path string, cmds []docs.Command, said string) []string {
	var out []string
	for i, c := range cmds {
		at := fmt.Sprintf("%s:%d: %q", path, c.Line, c.Text)
		printed, rest, reached := strings.Cut(said, "\n"+mark)
		if !reached {
			return append(out, at+" was not reached; the last that was said:\n"+said)
		}
		code, rest, _ := strings.Cut(rest, "\n")
		said = rest
		GinkgoWriter.Printf("$ %s\n%s\n", c.Text, printed)
		if n, err := strconv.Atoi(code); err != nil || n != 0 && (i+1 == len(cmds) || cmds[i+1].Text != "echo $?") {
			out = append(out, fmt.Sprintf("%s ended with exit code %s, and nothing after it says so; it printed:\n%s", at, code, printed))
		}
		if !c.Shows(printed) {
			out = append(out, fmt.Sprintf("%s is to print:\n%s\nand printed:\n%s", at, strings.Join(c.Printed, "\n"), printed))
		}
	}
	return out
}
