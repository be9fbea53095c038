package certificate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
)

// File is a file of a run's directory, chained to those before it.
type File struct {
	Name  string `json:"file"`           // relative to the run's directory
	Kind  string `json:"kind,omitempty"` // of what is no file with bytes: link, whose sum is that of where it leads, or another's mode
	Bytes int64  `json:"bytes"`
	Sum   string `json:"sha256"`
	Link  string `json:"link"` // SHA-256 of the link before and of the fields above, a line each
}

const kindLink = "link"

// unsealed are files of the run's own directory that come and go without being evidence: who it belongs to while somebody lives, and the certificate.
func unsealed(name string) bool {
	return path.Base(name) == ".lock" || name == Name || name == SignatureName
}

// earlier is how a run is called that was moved aside for a newer one in the same directory. It has a certificate of its own.
func earlier(name string) bool {
	return regexp.MustCompile(`^\d{8}-\d{6}\.\d{3}$`).MatchString(name)
}

// Gather chains all that is in a run's directory, the evidence first and then the reports, whose names are given. It follows no link.
func Gather(root *os.Root, reports []string) (evidence, made []File, err error) {
	var names []string
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && earlier(name):
			return fs.SkipDir
		case d.IsDir() || unsealed(name):
			return nil
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("certificate: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		f, err := measure(root, name)
		if err != nil {
			return nil, nil, err
		}
		if slices.Contains(reports, name) {
			made = append(made, f)
			continue
		}
		evidence = append(evidence, f)
	}
	link := chain(evidence, "")
	chain(made, link)
	return evidence, made, nil
}

// Reseal chains the reports that were just written to the evidence.
func Reseal(root *os.Root, c *Certificate, reports []string) (*Certificate, error) {
	var made []File
	for _, name := range slices.Sorted(slices.Values(reports)) {
		f, err := measure(root, name)
		if err != nil {
			return nil, err
		}
		made = append(made, f)
	}
	chain(made, c.Root())
	return c.Sealed(made)
}

// measure takes the sum of a file without its link.
func measure(root *os.Root, name string) (File, error) {
	f := File{Name: name}
	st, err := root.Lstat(name)
	if err != nil {
		return f, fmt.Errorf("certificate: %w", err)
	}
	sum := sha256.New()
	switch st.Mode().Type() {
	case 0:
		in, err := root.Open(name)
		if err != nil {
			return f, fmt.Errorf("certificate: %w", err)
		}
		defer func() { _ = in.Close() }()
		if f.Bytes, err = io.Copy(sum, in); err != nil {
			return f, fmt.Errorf("certificate: %s: %w", name, err)
		}
	case fs.ModeSymlink:
		to, err := root.Readlink(name)
		if err != nil {
			return f, fmt.Errorf("certificate: %w", err)
		}
		f.Kind, f.Bytes = kindLink, int64(len(to))
		_, _ = io.WriteString(sum, to) // a hash takes everything
	default: // it would be waited for
		f.Kind = st.Mode().Type().String()
	}
	f.Sum = hex.EncodeToString(sum.Sum(nil))
	return f, nil
}

// chain fills the links in, from the one before them on, and returns the last.
func chain(files []File, before string) string {
	for i := range files {
		f := &files[i]
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%q\n%s\n%d\n%s\n", before, f.Name, f.Kind, f.Bytes, f.Sum))
		f.Link = hex.EncodeToString(sum[:])
		before = f.Link
	}
	return before
}

// last is the last link of lists that follow each other; empty: there is none.
func last(lists ...[]File) string {
	out := ""
	for _, l := range lists {
		if len(l) > 0 {
			out = l[len(l)-1].Link
		}
	}
	return out
}

// differences says which of the files are not as they are certified.
func differences(certified, found []File) []string {
	var out []string
	for _, want := range certified {
		i := slices.IndexFunc(found, func(f File) bool { return f.Name == want.Name })
		switch {
		case i < 0:
			out = append(out, want.Name+" is gone")
		case found[i].Kind != want.Kind:
			out = append(out, fmt.Sprintf("%s is a %s, and was a %s", want.Name, kind(found[i]), kind(want)))
		case found[i].Bytes != want.Bytes:
			out = append(out, fmt.Sprintf("%s has %d bytes, and had %d", want.Name, found[i].Bytes, want.Bytes))
		case found[i].Sum != want.Sum:
			out = append(out, fmt.Sprintf("%s was changed: its SHA-256 is %s, and was %s", want.Name, found[i].Sum, want.Sum))
		}
	}
	for _, f := range found {
		if !slices.ContainsFunc(certified, func(want File) bool { return want.Name == f.Name }) {
			out = append(out, f.Name+" was added")
		}
	}
	return out
}

func kind(f File) string {
	if f.Kind == "" {
		return "file"
	}
	return f.Kind
}
