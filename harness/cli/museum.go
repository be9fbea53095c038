package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports"
	"drydock.dev/drydock/scenarios"
)

func museumCommand(o *options) *cobra.Command {
	var f runFlags
	times := 0
	c := &cobra.Command{
		Use: "museum [NAME|FILE…]", Short: "Published bugs of real releases: list them, or run both releases of each and print how often Drydock was right",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return exhibitNames(), cobra.ShellCompDirectiveDefault
		},
		Example: "  drydock museum\n  drydock museum etcd-20340                      # the bad release and the fixed one, once each\n" +
			"  drydock museum --times 10 --json > night.json  # of all the rates, for machines",
		Long: `Each exhibit of the museum is a published bug of a real release. On the release that has the bug the run must end NO-GO, by the check and in the words that the exhibit names;
on the release that has the fix it must end GO. Releases that are not there are downloaded or built, which takes a minute or two for each etcd.

Without a name and without --times, museum lists the exhibits: what each needs and takes, and what it showed when it was measured last (-: not measured).
drydock run museum/NAME runs one of the two releases and prints all that was seen.

Exit codes: 0 all runs showed what they are for, 1 one did not, 2 usage or environment error, 3 none was wrong and one was inconclusive.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if times < 0 {
				return cluster.Usagef("--times is %d; it cannot be negative", times)
			}
			if f.parallel < 1 {
				return cluster.Usagef("--parallel is %d; want 1 or more", f.parallel)
			}
			exhibits, err := loadExhibits(names)
			if err != nil {
				return err
			}
			if len(names) == 0 && times == 0 {
				return listMuseum(cmd.OutOrStdout(), exhibits, f.json)
			}
			return o.museum(cmd, exhibits, max(times, 1), f)
		},
	}
	fl := c.Flags()
	fl.IntVar(&times, "times", 0, "run each release of each exhibit so many times (default 1 of what is named)")
	fl.IntVar(&f.parallel, "parallel", 1, "runs at a time")
	fl.StringVar(&f.out, "out", "", "directory for journals and reports, new or empty (default below --state-dir)")
	fl.Int64Var(&f.seed, "seed", 1, "seed of the first run; each has another")
	fl.BoolVar(&f.json, "json", false, "print the list or the rates for machines")
	return c
}

// exhibitNames are the exhibits as the museum calls them.
func exhibitNames() []string {
	var out []string
	for _, name := range scenarios.Exhibits() {
		out = append(out, filepath.Base(name))
	}
	return out
}

// loadExhibits finds those that are named, or all.
func loadExhibits(names []string) (out []*experiment.Scenario, err error) {
	known := exhibitNames()
	if len(names) == 0 {
		names = known
	}
	for _, name := range names {
		if slices.Contains(known, name) {
			name = "museum/" + name
		}
		if _, err := os.Stat(name); err != nil && !slices.Contains(scenarios.Names(), name) {
			return nil, cluster.Usagef("unknown exhibit %q; known: %s; or give a file", name, strings.Join(known, ", "))
		}
		s, err := experiment.Load(name)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	_, err = experiment.Sides(out) // each has one that is fixed
	return out, err
}

// exhibited is an exhibit for who chooses one.
type exhibited struct {
	described
	Bug    string              `json:"bug"`
	Bad    string              `json:"bad"`
	Fixed  string              `json:"fixed"`
	Finds  map[string][]string `json:"finds"`
	Showed *scenarios.Shown    `json:"showed,omitempty"` // when it was measured last
	Older  bool                `json:"older,omitempty"`  // what it showed is of a scenario that has changed since
}

func describeExhibits(exhibits []*experiment.Scenario) ([]exhibited, error) {
	measured, err := scenarios.Museum()
	if err != nil {
		return nil, fmt.Errorf("what exhibits showed: %w", err)
	}
	var out []exhibited
	for _, s := range exhibits {
		d, err := describe(s.Metadata.Label(), s)
		if err != nil {
			return nil, err
		}
		e := s.Spec.Exhibit
		x := exhibited{described: d, Bug: e.Bug, Bad: e.Bad.String(), Fixed: e.Fixed.String(), Finds: e.Finds}
		if showed, ok := measured[s.Metadata.Label()]; ok && showed.Bad.Releases == x.Bad && showed.Fixed.Releases == x.Fixed { // of other releases it tells nothing
			x.Showed, x.Older = &showed, showed.Scenario != s.Sum()
		}
		out = append(out, x)
	}
	return out, nil
}

func listMuseum(to io.Writer, exhibits []*experiment.Scenario, asJSON bool) error {
	all, err := describeExhibits(exhibits)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(to, all)
	}
	out := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	printf(out, "EXHIBIT\tBAD\tFOUND\tFIXED\tGO\tTAKES\tNEEDS\tABOUT\n")
	for _, x := range all {
		found, good, takes := x.rates()
		printf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Name, x.Bad, found, x.Fixed, good, takes, x.Needs, x.About)
	}
	return out.Flush()
}

// rates are what it showed, as words.
func (x exhibited) rates() (found, good, takes string) {
	if x.Showed == nil {
		return "-", "-", "-"
	}
	found, good, takes = rate(x.Showed.Bad), rate(x.Showed.Fixed), both(*x.Showed)
	if x.Older {
		found, good = found+older, good+older
	}
	return found, good, takes
}

// older is said of rates that nobody can have again: the scenario is another now.
const older = ", before the scenario changed"

// rate is how many of the runs of a release showed what they are for.
func rate(r scenarios.Rates) string {
	out := fmt.Sprintf("%d of %d", r.AsMeant, r.Runs)
	if r.Inconclusive > 0 {
		out += fmt.Sprintf(", %d inconclusive", r.Inconclusive)
	}
	return out
}

// both is what a run takes on the one release and on the other.
func both(s scenarios.Shown) string {
	word := func(r scenarios.Rates) string {
		if len(r.Took) == 0 {
			return "-"
		}
		return fmt.Sprintf("%d s", r.Typical())
	}
	return word(s.Bad) + ", " + word(s.Fixed)
}

// museum runs exhibits and prints the rates. Every mistake is found before anything is touched.
func (o *options) museum(cmd *cobra.Command, exhibits []*experiment.Scenario, times int, f runFlags) error {
	if f.out == "" {
		f.out = filepath.Join(o.stateDir, "runs", "museum-"+time.Now().Format("20060102-150405")+"-"+suffix())
	}
	if err := errors.Join(unused(f.out), apart(exhibits)); err != nil {
		return err
	}
	if err := o.museumReady(cmd.Context(), exhibits, f); err != nil {
		return err
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return cluster.Usagef("--out: %w", err)
	}
	run := func(s *experiment.Scenario, n int) (*plan.Result, error) {
		each := f
		each.seed += int64(n - 1)
		opts, err := o.runOptions(each, filepath.Join(f.out, fmt.Sprintf("%s-%d", s.Metadata.Label(), n)))
		if err != nil {
			return nil, err
		}
		res, err := s.Run(cmd.Context(), opts)
		if err != nil {
			return nil, err
		}
		return res, reports.Write(opts.Out, res, nil)
	}
	shown, err := experiment.Museum(cmd.Context(), exhibits, times, f.parallel, run, func(sh experiment.Showing) {
		printf(os.Stderr, "%s\n", told(sh))
	})
	for name, s := range shown {
		s.Cores = runtime.NumCPU()
		shown[name] = s
	}
	if cmd.Context().Err() != nil {
		err = fmt.Errorf("museum: interrupted; only the runs that had ended are counted: %w", err)
	}
	err = errors.Join(err, printShown(cmd.OutOrStdout(), shown, f))
	if code := museumCode(shown); err == nil && code != exitGo {
		return codeError{code}
	}
	return err
}

// unused finds that a directory for runs is new, or empty: what a bad release broke in an older one may not be mended yet.
func unused(dir string) error {
	switch there, err := os.ReadDir(dir); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return cluster.Usagef("--out: %w", err)
	case len(there) > 0:
		return cluster.Usagef("--out %s: it holds something already; give a new directory, or none", dir)
	}
	return nil
}

// apart finds that exhibits are to be told from one another: of two that have one name the runs of one would be counted as the other's.
func apart(exhibits []*experiment.Scenario) error {
	seen := map[string]bool{}
	for _, s := range exhibits {
		if name := s.Metadata.Label(); seen[name] {
			return cluster.Usagef("two exhibits that are named have the name %s; run one of them", name)
		}
		seen[s.Metadata.Label()] = true
	}
	return nil
}

// museumReady finds every mistake, and then gets the programs: no run of a release takes the time that it takes to build that.
func (o *options) museumReady(ctx context.Context, exhibits []*experiment.Scenario, f runFlags) error {
	opts, err := o.runOptions(f, "")
	if err != nil {
		return err
	}
	sides, err := experiment.Sides(exhibits)
	if err != nil {
		return err
	}
	for _, s := range sides {
		if _, err := s.PlanFor(ctx, opts); err != nil {
			return err
		}
	}
	for _, s := range sides {
		err := s.Provide(ctx, opts)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // the others can be run
			printf(os.Stderr, "%s: its programs could not be had, and its runs will show nothing: %v\n", s.Metadata.Label(), err)
		}
	}
	return nil
}

// told is one run in one line.
func told(sh experiment.Showing) string {
	word := "as it should"
	switch {
	case sh.As:
	case sh.Verdict == plan.Inconclusive:
		word = "nothing shown"
	default:
		word = "WRONG"
	}
	line := fmt.Sprintf("%s %d: %s, %s, %.0f s", sh.Exhibit.Metadata.Label(), sh.Time, sh.Verdict, word, sh.Seconds)
	if why, _, _ := strings.Cut(sh.Why, "\n"); why != "" {
		line += ": " + why
	}
	return line
}

func printShown(to io.Writer, shown map[string]scenarios.Shown, f runFlags) error {
	if f.json {
		return printJSON(to, shown)
	}
	out := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	printf(out, "EXHIBIT\tBAD\tFOUND\tFIXED\tGO\tTAKES\n")
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		s := shown[name]
		printf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", name, s.Bad.Releases, rate(s.Bad), s.Fixed.Releases, rate(s.Fixed), both(s))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	printf(to, "Reports: %s\n", f.out)
	return nil
}

// museumCode is that of all runs: one that was wrong is worse than one that showed nothing.
func museumCode(shown map[string]scenarios.Shown) int {
	code := exitGo
	for _, s := range shown {
		for _, r := range []scenarios.Rates{s.Bad, s.Fixed} {
			switch {
			case r.AsMeant+r.Inconclusive < r.Runs:
				code = worse(code, exitNoGo)
			case r.AsMeant < r.Runs || r.Runs == 0:
				code = worse(code, exitInconclusive)
			}
		}
	}
	return code
}
