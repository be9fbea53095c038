package reports

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var (
	shots = flag.String("shots", "", "directory for pictures of the pages of -pages, to be looked at")
	pages = flag.String("pages", "", "pattern of the pages that are pictured")
)

// browser is a page in a headless Chromium.
type browser struct {
	ctx context.Context //nolint:containedctx // to chromedp the context is the browser

	mu   sync.Mutex
	said []string // errors on its console: a script's, or of a load that the page's policy refused
}

// cached is where `make page` puts things.
func cached(name string) string {
	dir := os.Getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".cache")
	}
	return filepath.Join(dir, "drydock", "browser", name)
}

// openBrowser begins a Chromium, or skips the test and says what is missing.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	program := cached("bin/chromium")
	if _, err := os.Stat(program); err != nil {
		program = ""
		for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
			if found, err := exec.LookPath(name); err == nil && program == "" {
				program = found
			}
		}
	}
	if program == "" {
		t.Skip("there is no Chromium, neither in Drydock's cache nor on PATH: the page is not looked at; `make page` gets one")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU)
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(end)
	b := &browser{ctx: ctx}
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	go func() {
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				b.mu.Lock()
				b.said = append(b.said, m.String())
				b.mu.Unlock()
			}
		}
	}()
	return b
}

// errors are what the console said so far.
func (b *browser) errors() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.said, "\n")
}

func (b *browser) within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, d)
	t.Cleanup(stop)
	return ctx
}

// look sets the window's width and the colours that are asked for.
func (b *browser) look(t *testing.T, width, height int64, colours string) {
	t.Helper()
	if err := chromedp.Do(b.within(t, time.Minute), chromedp.EmulateViewport(width, height)); err != nil {
		t.Fatal(err)
	}
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}}})
	if err != nil {
		t.Fatal(err)
	}
}

// open loads a page of the disk and tells how long it took until it could be used, its first picture among it.
func (b *browser) open(t *testing.T, file string) time.Duration {
	t.Helper()
	begun := time.Now()
	if err := chromedp.Do(b.within(t, time.Minute), chromedp.Navigate("file://"+file)); err != nil {
		t.Fatal(err)
	}
	b.frame(t)
	return time.Since(begun)
}

// frame waits until what was asked for is drawn.
func (b *browser) frame(t *testing.T) {
	t.Helper()
	evaluate[bool](t, b, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
}

func evaluate[T any](t *testing.T, b *browser, script string) T {
	t.Helper()
	out, err := chromedp.Run(b.within(t, 2*time.Minute), chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return out
}

// TestLook takes pictures of pages for people: go test ./reports -run TestLook -args -shots DIR -pages 'RUNS/*/report.html'.
func TestLook(t *testing.T) {
	if *shots == "" {
		t.Skip("no -shots DIR")
	}
	files, err := filepath.Glob(*pages)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", *pages, err)
	}
	b := openBrowser(t)
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		for _, width := range []int64{400, 1000, 1500} {
			for _, colours := range []string{"light", "dark"} {
				b.look(t, width, 1300, colours)
				took := b.open(t, file)
				evaluate[bool](t, b, `new Promise(done => setTimeout(() => done(true), 300))`)
				for _, part := range []string{"whole", "top", "place"} { // the last is where the first link of the page to a place leads
					take := chromedp.CaptureScreenshot()
					if part == "whole" {
						take = chromedp.FullScreenshot(100)
					}
					if part == "place" {
						evaluate[bool](t, b, `new Promise(done => { const link = document.querySelector('[data-place]'); if (link) link.click(); setTimeout(() => done(true), 300); })`)
					}
					picture, err := chromedp.Run(b.within(t, time.Minute), take)
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(*shots, fmt.Sprintf("%s-%d-%s-%s.png", name, width, colours, part)), picture, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if width == 1000 && colours == "dark" { // on paper it is light all the same
					paper, err := chromedp.Run(b.within(t, time.Minute), chromedp.PrintToPDF(chromedp.PDFPrintBackground(), chromedp.PDFPaper(chromedp.PaperA4)))
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(*shots, name+".pdf"), paper, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				t.Logf("%s at %d, %s: %s", name, width, colours, took.Round(time.Millisecond))
			}
		}
	}
	if said := b.errors(); said != "" {
		t.Error(said)
	}
}
