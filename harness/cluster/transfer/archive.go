package transfer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"drydock.dev/drydock/harness/cluster"
)

// unpack makes the target of an archive: a directory of what is below ".", or the one file in it. Whatever the archive's names and links say, nothing is
// written beside it.
func unpack(from io.Reader, target string, isDir bool, o Options) error {
	files := tar.NewReader(from)
	if !isDir {
		h, err := files.Next()
		if err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		root, err := os.OpenRoot(filepath.Dir(target))
		if err != nil {
			return err
		}
		u := unpacker{root: root, options: o}
		var refused error // there is nothing else
		u.options.Warn = func(format string, args ...any) { refused = cluster.Usagef(format, args...) }
		err = u.one(filepath.Base(target), h, files)
		return errors.Join(err, refused, root.Close())
	}
	_, before := os.Stat(target)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(target)
	if err != nil {
		return err
	}
	u := unpacker{root: root, options: o, into: before == nil}
	return errors.Join(u.all(files), root.Close())
}

// unpacker writes below a directory.
type unpacker struct {
	root    *os.Root
	options Options
	into    bool          // the directory was there before, with a mode of its own
	dirs    []*tar.Header // whose modes and times are set when what is in them is there
}

func (u *unpacker) all(files *tar.Reader) error {
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		name := path.Clean(h.Name)
		if !filepath.IsLocal(name) {
			u.options.Warn("%s is left out: its name leads out of the directory", h.Name)
			continue
		}
		if err := u.one(name, h, files); err != nil {
			return err
		}
	}
	for _, h := range slices.Backward(u.dirs) {
		if err := u.finish(path.Clean(h.Name), h); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) one(name string, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		if name == "." && u.into {
			return nil
		}
		u.dirs = append(u.dirs, h)
		return u.root.MkdirAll(name, 0o700)
	case tar.TypeReg:
		if err := u.write(name, content); err != nil {
			return err
		}
		return u.finish(name, h)
	case tar.TypeSymlink:
		if path.IsAbs(h.Linkname) || !filepath.IsLocal(path.Join(path.Dir(name), h.Linkname)) {
			u.options.Warn("%s is left out: it is a link to %s, which was not copied (--follow-link copies what links lead to)", h.Name, h.Linkname)
			return nil
		}
		return errors.Join(u.clear(name), u.root.Symlink(h.Linkname, name))
	case tar.TypeLink:
		return errors.Join(u.clear(name), u.root.Link(path.Clean(h.Linkname), name))
	default:
		u.options.Warn("%s is left out: it is no file, directory or link", h.Name)
		return nil
	}
}

// write replaces what is there. A file that was a link is the link no more: what it led to is not this one's.
func (u *unpacker) write(name string, content io.Reader) (err error) {
	if err := u.clear(name); err != nil {
		return err
	}
	f, err := u.root.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, content)
	return err
}

func (u *unpacker) clear(name string) error {
	if err := u.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (u *unpacker) finish(name string, h *tar.Header) error {
	return errors.Join(u.root.Chmod(name, fs.FileMode(h.Mode).Perm()), u.root.Chtimes(name, h.ModTime, h.ModTime))
}

// pack writes a file or a directory into an archive, by another name, as root's. Of a directory that goes into one that is there, only what is in it.
func pack(to io.Writer, from, name string, into bool, o Options) error {
	w := tar.NewWriter(to)
	var err error
	switch {
	case name != ".":
		err = packOne(w, from, name, o)
	case into:
		err = packEntries(w, from, name, o)
	default:
		err = packDir(w, from+"/.", name, o) // what it leads to, of a link
	}
	return errors.Join(err, w.Close())
}

func packDir(w *tar.Writer, dir, name string, o Options) error {
	if err := packOne(w, dir, name, o); err != nil {
		return err
	}
	return packEntries(w, dir, name, o)
}

func packEntries(w *tar.Writer, dir, name string, o Options) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		file, isDir, do := filepath.Join(dir, e.Name()), e.IsDir(), packOne
		if o.Follow {
			st, err := os.Stat(file)
			if err != nil {
				return err
			}
			isDir = st.IsDir()
		}
		if isDir {
			do = packDir
		}
		if err := do(w, file, path.Join(name, e.Name()), o); err != nil {
			return err
		}
	}
	return nil
}

func packOne(w *tar.Writer, file, name string, o Options) error {
	stat, link := os.Lstat, ""
	if o.Follow {
		stat = os.Stat
	}
	st, err := stat(file)
	if err != nil {
		return err
	}
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		if link, err = os.Readlink(file); err != nil {
			return err
		}
	case !st.IsDir() && !st.Mode().IsRegular():
		o.Warn("%s is left out: it is no file, directory or link", file)
		return nil
	}
	h, err := tar.FileInfoHeader(st, link)
	if err != nil {
		return err
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = name, 0, 0, "", ""
	if err := w.WriteHeader(h); err != nil || !st.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.CopyN(w, f, st.Size())
	return err
}
