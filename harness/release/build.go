package release

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// build makes the programs without a release server: what the version's module has is compiled, the rest is a listed release's.
func (s *Store) build(ctx context.Context, v Version, names []string, label string) error {
	var own, others []string
	for _, n := range names {
		if v.Borrows == "" || n == v.Product.Others.Builds {
			own = append(own, n)
		} else {
			others = append(others, n)
		}
	}
	if len(own) > 0 { // first: there may be no such release
		if err := s.buildOwn(ctx, v, own, label); err != nil {
			return err
		}
	}
	for _, n := range others {
		if err := s.borrow(ctx, v, n); err != nil {
			return fmt.Errorf("%s: %s of %s: %w", label, n, v.Borrows, err)
		}
	}
	return nil
}

// borrow puts another release's program in the place of this one's.
func (s *Store) borrow(ctx context.Context, v Version, name string) error {
	lender, err := Resolve(v.Product.Name, v.Borrows)
	if err != nil {
		return err
	}
	if err := s.fetch(ctx, lender, []string{name}); err != nil {
		return err
	}
	if err := install(s.cached(lender, name), s.cached(v, name)); err != nil {
		return err
	}
	return s.remember(v, "taken from "+lender.Version, name)
}

// buildOwn compiles the programs from one module in one go, so that what they share is compiled once.
func (s *Store) buildOwn(ctx context.Context, v Version, names []string, label string) error {
	dir := s.dir(v)
	out, err := os.MkdirTemp(dir, ".build-*")
	if err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	defer func() { _ = os.RemoveAll(out) }()
	module := filepath.Join(out, "module")
	of, err := s.writeModule(v, module)
	if err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	logPath := filepath.Join(s.Dir, fmt.Sprintf("build-%s-%s.log", v.Product.Name, v.Version))
	log, err := os.Create(logPath)
	if err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	defer func() { _ = log.Close() }()
	cache := s.buildCache(v)
	flags := []string{"-trimpath", "-ldflags", "-s -w " + v.fill(v.Product.LDFlags, "", "")}
	var packages []string
	for _, n := range names {
		packages = append(packages, v.Product.Programs[n])
	}
	s.Progress.Advance(label+": building from Go modules", 0, 0)
	if !v.listed() {
		flags = append(flags, "-mod=mod") // the go command adds what its other dependencies are, after asking its checksum database of each
	}
	total := countStale(ctx, module, cache, flags, packages)
	err = s.compile(ctx, module, cache, append(append([]string{"build", "-v", "-o", out + "/"}, flags...), packages...), label, total, log)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: its build was interrupted, and goes on where it was when it is asked for again: %w", label, context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("%s: go build: %w; the log is %s", label, err, logPath)
	}
	for _, n := range names {
		// The go command names a program after the last element of its package that is not a version.
		made := path.Base(strings.TrimSuffix(v.Product.Programs[n], "/v3"))
		if err := os.Rename(filepath.Join(out, made), filepath.Join(dir, n)); err != nil {
			return fmt.Errorf("%s: %w", label, err)
		}
	}
	return errors.Join(s.remember(v, "built of "+of, names...), os.RemoveAll(cache))
}

// writeModule makes the module that a version is built of, and says which it is.
func (s *Store) writeModule(v Version, dir string) (of string, err error) {
	if v.Borrows != "" {
		of = v.Product.Programs[v.Product.Others.Builds] + " " + v.Version
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
		return of, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module drydock.dev/drydock/other\n\ngo 1.26\n\nrequire "+of+"\n"), 0o644)
	}
	source, err := fs.Sub(s.Source, v.Module)
	if err == nil {
		_, err = fs.Stat(source, "go.mod")
	}
	if err != nil {
		return "", fmt.Errorf("there is no module to build it: %w", err)
	}
	err = os.CopyFS(dir, source)
	if err == nil && v.Like != "" {
		err = v.retarget(dir)
	}
	return v.Module, err
}

// retarget makes the module of another patch release this one's. Those of a minor have nearly all their dependencies in common, and the go command finds the rest.
func (v Version) retarget(module string) error {
	file := filepath.Join(module, "go.mod")
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var pairs []string
	for _, number := range []string{"v1.", "v0."} { // Kubernetes, and its libraries: k8s.io/api and others
		was, is := strings.Replace(v.Like, "v1.", number, 1), strings.Replace(v.Version, "v1.", number, 1)
		pairs = append(pairs, " "+was+"\n", " "+is+"\n", " "+was+" //", " "+is+" //")
	}
	lines := strings.SplitAfter(string(raw), "\n")
	for i, line := range lines {
		if strings.Contains(line, "k8s.io/") {
			lines[i] = strings.NewReplacer(pairs...).Replace(line)
		}
	}
	return os.WriteFile(file, []byte(strings.Join(lines, "")), 0o644)
}

// buildCache is the Go build cache of one version's build. Gigabytes of it are of use to nothing else, so it does not go into the user's own
// and is removed when the programs are there. What is interrupted goes on where it was.
func (s *Store) buildCache(v Version) string {
	return filepath.Join(s.Dir, v.Product.Name, v.Version+buildCacheSuffix)
}

const buildCacheSuffix = ".go-build"

// stopWithin is how long the go command has to end once it is told to.
const stopWithin = 10 * time.Second

// goCommand is one that ends with the compilers it has started. Its temporary files are beside the module, and go with that.
func goCommand(ctx context.Context, module, cache string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopWithin
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOTMPDIR="+filepath.Dir(module), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false", "GOOS=linux", "GOCACHE="+cache)
	return cmd
}

// countStale counts the packages the go command would compile now; 0 when it does not say.
func countStale(ctx context.Context, module, cache string, flags, packages []string) int {
	args := append([]string{"list", "-deps", "-f", "{{if .Stale}}x{{end}}"}, flags...)
	out, err := goCommand(ctx, module, cache, append(args, packages...)...).Output()
	if err != nil {
		return 0 // the build itself will say what is wrong
	}
	return strings.Count(string(out), "x")
}

// lastLines are as many of a log as tell why a build failed.
const lastLines = 3

// compile runs the build; -v makes it name each package when it is done. What else it said last is in the error.
func (s *Store) compile(ctx context.Context, module, cache string, args []string, label string, total int, log io.Writer) error {
	cmd := goCommand(ctx, module, cache, args...)
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("is Go installed? %w", err)
	}
	wait := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		_ = write.Close()
		wait <- err
	}()
	done, last := 0, []string(nil)
	lines := bufio.NewScanner(read)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, _ = fmt.Fprintln(log, lines.Text())
		if !strings.HasPrefix(lines.Text(), "#") && !strings.Contains(lines.Text(), " ") {
			done++
		} else if last = append(last, strings.TrimSpace(lines.Text())); len(last) > lastLines {
			last = last[1:]
		}
		s.Progress.Advance(label+": packages", done, max(total, done))
	}
	if err := <-wait; err != nil {
		return fmt.Errorf("%w: %s", err, cmp.Or(strings.Join(last, "; "), "it said nothing"))
	}
	return nil
}
