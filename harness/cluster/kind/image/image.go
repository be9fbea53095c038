// Package image makes container images of one layer from files, without a base image, a registry or a daemon: what a cluster needs that can
// pull nothing. The archives are those of `docker save`; docker, containerd and kind load them.
package image

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Spec is what an image holds and what it runs.
type Spec struct {
	Ref        string            // NAME:TAG
	Files      map[string]string // path in the image -> file or directory of the host, links followed
	Links      map[string]string // path in the image -> what the symbolic link there says
	Entrypoint []string
}

// Write makes the image and writes it to a file that `docker load`, `ctr images import` and `kind load image-archive` take. The same files
// make the same image: times and owners are left out. The file appears when it is whole.
func Write(s Spec, file string) error {
	tag, err := name.NewTag(s.Ref)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	img, err := s.build()
	if err != nil {
		return fmt.Errorf("image %s: %w", s.Ref, err)
	}
	tmp := file + ".tmp"
	err = tarball.WriteToFile(tmp, tag, img)
	if err == nil {
		err = os.Rename(tmp, file)
	}
	if err != nil {
		return fmt.Errorf("image %s: %w", s.Ref, errors.Join(err, os.Remove(tmp)))
	}
	return nil
}

func (s Spec) build() (v1.Image, error) {
	open := func() (io.ReadCloser, error) {
		read, write := io.Pipe()
		go func() { write.CloseWithError(s.layer(write)) }()
		return read, nil
	}
	// Programs hardly get smaller at higher levels, and the layer is read several times: to be told its digest, then its content.
	layer, err := tarball.LayerFromOpener(open, tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Entrypoint = s.Entrypoint
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return mutate.ConfigFile(img, config)
}

// layer writes the files as a tar archive, in the order of their names.
func (s Spec) layer(w io.Writer) error {
	all := map[string]func(*tar.Writer, string) error{}
	for dst, src := range s.Files {
		err := filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			below, err := filepath.Rel(src, p)
			if err != nil {
				return err
			}
			all[path.Join(dst, filepath.ToSlash(below))] = func(tw *tar.Writer, in string) error { return addFile(tw, in, p) }
			return nil
		})
		if err != nil {
			return err
		}
	}
	for dst, target := range s.Links {
		all[dst] = func(tw *tar.Writer, in string) error {
			return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: in, Linkname: target, Mode: 0o777})
		}
	}
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	slices.Sort(names)
	tw := tar.NewWriter(w)
	for _, n := range names {
		if err := all[n](tw, path.Clean("/" + n)[1:]); err != nil {
			return err
		}
	}
	return tw.Close()
}

func addFile(tw *tar.Writer, in, src string) error {
	f, err := os.Open(src)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: in, Size: info.Size(), Mode: int64(info.Mode().Perm())}); err != nil {
		return err
	}
	_, err = io.Copy(tw, f)
	return err
}
