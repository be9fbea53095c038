package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// storedWithin is how long a member's database may take to be copied.
const storedWithin = 2 * time.Minute

// Stored compares the list of members with the one in a machine's own database, of which it takes a copy into a directory here. They are two until 3.6, which
// goes by the database's: what differs comes to light when a member is upgraded. The copy has the machine's name: one that is left by a process that was killed
// is taken over by the next.
func (a *Access) Stored(ctx context.Context, w *Watcher, machine, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, storedWithin)
	defer cancel()
	file := filepath.Join(dir, "members-"+machine+".db")
	defer func() { _ = os.Remove(file) }()
	if err := a.SnapshotOf(ctx, machine, file); err != nil {
		return err
	}
	holds, err := ReadSnapshot(file)
	if err != nil {
		return err
	}
	list := w.Membership(ctx, changeWithin)
	if list.Error != "" {
		return errors.New(list.Error)
	}
	if differ := holds.differs(list.Members); len(differ) > 0 {
		return &StoredError{Machine: machine, Differs: differ}
	}
	return nil
}

// StoredError says that the members in a machine's database are not those on the cluster's list.
type StoredError struct {
	Machine string
	Differs []string
}

func (e *StoredError) Error() string {
	return fmt.Sprintf("the database on %s has other members than the cluster: %s", e.Machine, strings.Join(e.Differs, ", "))
}

// differs says in what the members of a database are not those on the cluster's list.
func (h Holds) differs(list []Listed) (out []string) {
	for _, l := range list {
		who := fmt.Sprintf("%x of %s", l.ID, l.Machine)
		switch learner := slices.Contains(h.Learners, l.ID); {
		case !slices.Contains(h.Members, l.ID):
			out = append(out, who+" is missing")
		case learner && !l.Learner:
			out = append(out, who+" is a learner there, and has a vote")
		case l.Learner && !learner:
			out = append(out, who+" has a vote there, and is a learner")
		}
	}
	for _, id := range h.Members {
		if !slices.ContainsFunc(list, func(l Listed) bool { return l.ID == id }) {
			out = append(out, fmt.Sprintf("%x was removed and is there", id))
		}
	}
	return out
}
