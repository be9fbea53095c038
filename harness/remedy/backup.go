package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/wholefile"
)

// saveAll is what to have before anything is done: etcd's snapshot, which takes the whole cluster back (restore-quorum), and the objects one by one, of
// which a person can apply what is missing.
func saveAll() Runbook {
	return Runbook{
		Name: "backup", Symptom: "a cluster has a quorum, and something is to be done to it",
		Does:  "save a snapshot of etcd and all objects as YAML into a directory here, and read them back",
		Reads: true, Saves: true,
		diagnose: diagnoseBackup,
		steps: func(r *Remedy) []*plan.Step {
			b := backup{r}
			steps := []*plan.Step{{Name: "save", About: "have a member give a snapshot, and check its sum and its revision", Run: b.save}}
			if r.Topology.Kubernetes() {
				steps = append(steps, &plan.Step{Name: "export", About: "write every object of every kind as YAML", Run: b.export})
			}
			return append(steps, &plan.Step{Name: "verify", About: "read all of it back, and write down what it is", Run: b.verify})
		},
	}
}

// backup has the steps.
type backup struct{ *Remedy }

// Contents is what a backup says of itself, in a file that is written last: without it there is none.
type Contents struct {
	Cluster    string            `json:"cluster"`
	At         time.Time         `json:"at"`
	Etcd       etcd.Holds        `json:"etcd"`
	Kubernetes string            `json:"kubernetes,omitempty"` // version of the API server that the objects are of
	Objects    map[string]int    `json:"objects,omitempty"`    // by file
	SHA256     map[string]string `json:"sha256"`               // by file
}

// The files of a backup beside its objects.
const (
	backupSnapshot = "snapshot.db"
	backupContents = "backup.json"
)

// readContents reads what the backup in a directory says of itself.
func readContents(dir string) (c Contents, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, backupContents))
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		return c, fmt.Errorf("backup: %w", err)
	}
	return c, nil
}

// ReadBackup reads what the backup in a directory says of itself, and checks each of its files.
func ReadBackup(dir string) (Contents, error) {
	c, err := readContents(dir)
	if err != nil {
		return c, err
	}
	if c.SHA256[backupSnapshot] == "" {
		return c, fmt.Errorf("backup: %s tells of no snapshot", filepath.Join(dir, backupContents))
	}
	for file, want := range c.SHA256 {
		sum, err := wholefile.Sum(filepath.Join(dir, file))
		if err != nil {
			return c, fmt.Errorf("backup: %w", err)
		}
		if sum != want {
			return c, fmt.Errorf("backup: %s is not the file that was saved", filepath.Join(dir, file))
		}
	}
	return c, nil
}

func (r backup) dir() string {
	if r.Spec.To != "" {
		return r.Spec.To
	}
	return filepath.Join(r.Dir, "backup")
}

func diagnoseBackup(ctx context.Context, r *Remedy) (d Diagnosis, stands []plan.Finding, _ error) {
	list := r.Target.Members.Membership(ctx, looked)
	if list.Error != "" {
		return d, []plan.Finding{{
			Check: "quorum", Severity: plan.Blocker, What: list.Error, Why: "what a single member has may lack what was acknowledged", Fix: "start the members that have their data, or the runbook restore-quorum",
		}}, nil
	}
	members := r.Target.Members.Members(ctx, looked)
	for _, m := range members {
		if s := strings.Join(m.Alarms, ", "); strings.Contains(s, "CORRUPT") {
			stands = append(stands, plan.Finding{Check: "data", Severity: plan.Blocker, What: "the member on " + m.Machine + " says: " + s, Why: "members hold different data, and nobody knows whose is right", Fix: "find out which, and replace the others: the runbook replace-etcd-member"})
		}
	}
	if ill := illMembers(list.Members, members, r.Topology.EtcdMachines()); len(ill) > 0 {
		stands = append(stands, plan.Finding{Check: "members", Severity: plan.Warning, What: strings.Join(ill, "; "), Why: "the cluster is not well", Fix: "mend it after the backup"})
	}
	stands = append(stands, projectPlace(backup{r}.dir())...)
	revision, err := r.Target.Etcd.Revision(ctx)
	d.Revision, d.Says = revision, fmt.Sprintf("a quorum confirms revision %d", revision)
	return d, stands, err
}

// projectPlace says what stands against a backup in a directory: another one, or whatever else is there.
func projectPlace(dir string) []plan.Finding {
	if c, err := ReadBackup(dir); err == nil {
		return []plan.Finding{{
			Check: "place", Severity: plan.Blocker, What: fmt.Sprintf("%s has the backup of %s from %s, revision %d", dir, c.Cluster, c.At.Format(time.DateTime), c.Etcd.Revision), Why: "no backup is written over", Fix: "name another directory: --to DIR",
		}}
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err == nil:
		err = fmt.Errorf("%s has %d files or directories, %s among them", dir, len(entries), entries[0].Name())
	}
	return []plan.Finding{{Check: "place", Severity: plan.Blocker, What: err.Error(), Why: "nothing that is somebody's is written over", Fix: "name another directory: --to DIR"}}
}

// save takes the snapshot. One that is there is of this backup: nothing else was in the directory when it was begun.
func (r backup) save(ctx context.Context) error {
	file := filepath.Join(r.dir(), backupSnapshot)
	if h, err := etcd.ReadSnapshot(file); err == nil && h.Revision >= r.found.Revision {
		return fmt.Errorf("%w: it was saved before", plan.ErrSkip)
	}
	if err := r.Target.Etcd.Snapshot(ctx, r.Target.Members, file); err != nil {
		return err
	}
	h, err := etcd.ReadSnapshot(file)
	if err == nil && h.Revision < r.found.Revision {
		err = fmt.Errorf("the snapshot has revision %d, and %d was acknowledged before: the member that gave it is behind", h.Revision, r.found.Revision)
	}
	return err
}

// exported is what export has written, beside the objects until all is verified.
type exported struct {
	Version string         `json:"version"`
	Counts  map[string]int `json:"counts"`
}

const exportedFile = "exported.json"

func (r backup) export(ctx context.Context) error {
	dir := r.dir()
	if _, err := r.readExported(); err == nil {
		return fmt.Errorf("%w: they were written before", plan.ErrSkip)
	}
	all, err := observe.ReadEverything(ctx, r.Target.Config)
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, toApply)), os.RemoveAll(filepath.Join(dir, toRead))); err != nil { // of before an interrupt
		return fmt.Errorf("backup: %w", err)
	}
	counts, err := writeObjects(dir, all.Kinds)
	if err != nil {
		return err
	}
	if len(counts) == 0 {
		return errors.New("backup: the API server tells of no object at all")
	}
	return plan.WriteFile(filepath.Join(dir, exportedFile), exported{all.Version, counts})
}

func (r backup) readExported() (e exported, err error) {
	raw, err := os.ReadFile(filepath.Join(r.dir(), exportedFile))
	if err == nil {
		err = json.Unmarshal(raw, &e)
	}
	if err != nil {
		return e, fmt.Errorf("backup: %w", err)
	}
	return e, nil
}

// verify reads all of it from the disk again: what was counted must be there, and be what an API server takes.
func (r backup) verify(context.Context) error {
	dir := r.dir()
	if _, err := ReadBackup(dir); err == nil {
		return fmt.Errorf("%w: it was verified before", plan.ErrSkip)
	}
	c := Contents{Cluster: r.Topology.Name, At: r.found.At, SHA256: map[string]string{}}
	var err error
	if c.Etcd, err = etcd.ReadSnapshot(filepath.Join(dir, backupSnapshot)); err != nil {
		return err
	}
	files := []string{backupSnapshot}
	if r.Topology.Kubernetes() {
		e, err := r.readExported()
		if err != nil {
			return err
		}
		c.Kubernetes, c.Objects = e.Version, e.Counts
		for file, want := range e.Counts {
			n, err := countObjects(filepath.Join(dir, file))
			if err == nil && n != want {
				err = fmt.Errorf("%s has %d objects of %d", file, n, want)
			}
			if err != nil {
				return err
			}
			files = append(files, file)
		}
	}
	for _, file := range files {
		if c.SHA256[file], err = wholefile.Sum(filepath.Join(dir, file)); err != nil {
			return fmt.Errorf("backup: %w", err)
		}
	}
	if err := plan.WriteFile(filepath.Join(dir, backupContents), c); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, exportedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// says is what a person has to know of a backup. Its files were checked when they were verified.
func (r backup) says() string {
	c, err := readContents(r.dir())
	if err != nil {
		return err.Error()
	}
	out := fmt.Sprintf("%s has a snapshot of etcd at revision %d", r.dir(), c.Etcd.Revision)
	if c.Kubernetes == "" {
		return out
	}
	apply, read := 0, 0
	for file, n := range c.Objects {
		if strings.HasPrefix(file, toApply+"/") {
			apply += n
		} else {
			read += n
		}
	}
	return fmt.Sprintf("%s, %d objects to apply (kubectl apply --server-side -f %s, and when that is served -f %s) and %d to be read (%s). Secrets are in it in plain text: all files are readable by their owner alone. Keys and certificates of machines, which are no objects, are not",
		out, apply, filepath.Join(r.dir(), atFirst), then, read, toRead)
}
