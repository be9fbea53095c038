package runtime

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"drydock.dev/drydock/harness/release"
)

// image is what a reference stands for: files to put into /usr/local/bin and what to run by default.
type image struct {
	ref        string
	files      map[string]string // name in /usr/local/bin -> path on the machine
	entrypoint []string
}

// WorkloadImage is Drydock itself; its arguments are those of `drydock workload`.
const WorkloadImage = "drydock/workload"

var kubeImages = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"} //nolint:gochecknoglobals // a constant list

// resolve finds the image of a reference. Its tag chooses the release, of Kubernetes and of etcd, and ImageStatus names the binary.
func (s *Server) resolve(ref string) (image, error) {
	name, tag := splitRef(ref)
	base := filepath.Base(name)
	img := image{ref: ref, files: map[string]string{}}
	switch {
	case slices.Contains(kubeImages, base):
		img.files[base] = filepath.Join(s.cfg.Releases, "kubernetes", tag, base)
		img.entrypoint = []string{base}
	case base == release.Etcd:
		img.files[base] = filepath.Join(s.cfg.Releases, release.Etcd, release.EtcdTagged(tag), base)
		img.entrypoint = []string{base}
	case base == "pause":
		img.files["drydock"] = s.cfg.Program
		img.entrypoint = []string{"drydock", "workload", "pause"}
	case strings.HasSuffix(name, WorkloadImage):
		img.files["drydock"] = s.cfg.Program
		img.entrypoint = []string{"drydock", "workload"}
	default: // what else the cache has as a release: NAME/TAG/NAME
		img.files[base] = filepath.Join(s.cfg.Releases, base, tag, base)
		img.entrypoint = []string{base}
		if _, err := os.Stat(img.files[base]); err != nil {
			return img, fmt.Errorf("no binary is known for image %q; known: %s, etcd, pause, %s, and what the cache of releases has as NAME/VERSION/NAME", ref, strings.Join(kubeImages, ", "), WorkloadImage)
		}
	}
	for _, path := range img.files {
		if _, err := os.Stat(path); err != nil {
			return img, fmt.Errorf("image %q: %w", ref, err)
		}
	}
	return img, nil
}

var errPullsHeld = errors.New("no image is pulled: held by a fault")

// pulled finds the image of a reference as one that is there or can be had.
func (s *Server) pulled(ref string) (image, error) {
	img, err := s.resolve(ref)
	if err != nil || s.cfg.PullsHeld == "" {
		return img, err
	}
	if _, err := os.Stat(s.cfg.PullsHeld); err != nil {
		return img, nil // nothing is held
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		if c.image.ref == ref {
			return img, nil
		}
	}
	return img, fmt.Errorf("image %q: %w", ref, errPullsHeld)
}

func splitRef(ref string) (name, tag string) {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i], ref[i+1:]
	}
	return ref, "latest"
}

func (i image) isPause() bool { return slices.Contains(i.entrypoint, "pause") }

// id depends on the binaries' paths, so that two tags for one binary are one image, as layers would be.
func (i image) id() string {
	names := make([]string, 0, len(i.files))
	for n, p := range i.files {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			p = real
		}
		names = append(names, n+"="+p)
	}
	slices.Sort(names)
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(strings.Join(append(names, i.entrypoint...), "\n"))))
}

func (i image) describe() *cri.Image {
	var size uint64
	binaries := map[string]string{}
	for n, p := range i.files {
		if st, err := os.Stat(p); err == nil {
			size += uint64(st.Size())
		}
		if real, err := filepath.EvalSymlinks(p); err == nil {
			p = real
		}
		binaries["drydock.dev/binary."+n] = p
	}
	return &cri.Image{
		Id: i.id(), RepoTags: []string{i.ref}, Size: size, Uid: &cri.Int64Value{Value: 0},
		Spec: &cri.ImageSpec{Image: i.ref, Annotations: binaries},
	}
}

// ImageStatus answers an empty status for an image that is not there, as the CRI asks.
func (s *Server) ImageStatus(_ context.Context, r *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	img, err := s.pulled(r.GetImage().GetImage())
	if err != nil {
		return &cri.ImageStatusResponse{}, nil //nolint:nilerr // the kubelet then asks to pull it and gets the error
	}
	return &cri.ImageStatusResponse{Image: img.describe()}, nil
}

// PullImage has nothing to pull: an image is a binary of the cache, or unknown.
func (s *Server) PullImage(_ context.Context, r *cri.PullImageRequest) (*cri.PullImageResponse, error) {
	img, err := s.pulled(r.GetImage().GetImage())
	if errors.Is(err, errPullsHeld) {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	if err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	return &cri.PullImageResponse{ImageRef: img.id()}, nil
}

// ListImages lists what containers use; the table itself has no end.
func (s *Server) ListImages(context.Context, *cri.ListImagesRequest) (*cri.ListImagesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	out := &cri.ListImagesResponse{}
	for _, c := range s.containers {
		if !seen[c.image.ref] {
			seen[c.image.ref] = true
			out.Images = append(out.Images, c.image.describe())
		}
	}
	return out, nil
}

// RemoveImage has nothing to remove: the cache is shared and read-only.
func (s *Server) RemoveImage(context.Context, *cri.RemoveImageRequest) (*cri.RemoveImageResponse, error) {
	return &cri.RemoveImageResponse{}, nil
}

// ImageFsInfo reports the file system the machine's disk is on.
func (s *Server) ImageFsInfo(context.Context, *cri.ImageFsInfoRequest) (*cri.ImageFsInfoResponse, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.cfg.StateDir, &st); err != nil {
		return nil, fmt.Errorf("image file system: %w", err)
	}
	usage := &cri.FilesystemUsage{
		Timestamp: time.Now().UnixNano(), FsId: &cri.FilesystemIdentifier{Mountpoint: s.cfg.StateDir},
		UsedBytes:  &cri.UInt64Value{Value: (st.Blocks - st.Bfree) * uint64(st.Bsize)},
		InodesUsed: &cri.UInt64Value{Value: st.Files - st.Ffree},
	}
	return &cri.ImageFsInfoResponse{ImageFilesystems: []*cri.FilesystemUsage{usage}, ContainerFilesystems: []*cri.FilesystemUsage{usage}}, nil
}
