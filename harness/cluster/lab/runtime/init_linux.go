package runtime

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Spec is what container-init is told: how to make the container's root and what to run in it.
type Spec struct {
	Root     string            `json:"root"`
	Files    map[string]string `json:"files"` // name in /usr/local/bin -> path on the machine
	Resolv   string            `json:"resolv"`
	Hostname string            `json:"hostname"`
	Mounts   []*cri.Mount      `json:"mounts"`
	Args     []string          `json:"args"`
	Env      []string          `json:"env"`
	Dir      string            `json:"dir"`
	ReadOnly bool              `json:"readOnly"`
	Held     []string          `json:"held"` // while one of these files exists the program does not start
}

const containerPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// spec joins the image's defaults with the container's own words, as Kubernetes defines command and args.
func (s *Server) spec(c *container) Spec {
	args := c.config.GetCommand()
	if len(args) == 0 {
		args = c.image.entrypoint
	}
	args = append(append([]string{}, args...), c.config.GetArgs()...)
	env := []string{"PATH=" + containerPath, "HOME=/root"}
	for _, kv := range c.config.GetEnvs() {
		env = append(env, kv.GetKey()+"="+string(kv.GetValue()))
	}
	hostname := c.sandbox.config.GetHostname()
	if c.sandbox.hostNetwork() {
		hostname = "" // the machine's
	}
	return Spec{
		Root: filepath.Join(c.dir, "root"), Files: c.image.files, Resolv: filepath.Join(c.sandbox.dir, "resolv.conf"), Hostname: hostname,
		Mounts: c.config.GetMounts(), Args: args, Env: env, Dir: c.config.GetWorkingDir(),
		Held:     s.held(filepath.Base(args[0]), c.image.ref),
		ReadOnly: c.config.GetLinux().GetSecurityContext().GetReadonlyRootfs(),
	}
}

// held lists the files that keep a program from starting: all of its versions, or that of the image.
func (s *Server) held(program, ref string) []string {
	_, tag := splitRef(ref)
	return []string{filepath.Join(s.cfg.HeldDir, program), filepath.Join(s.cfg.HeldDir, program+"@"+tag)}
}

// specFD is where container-init reads its Spec.
const specFD = 3

// ContainerInit makes the container's root, in the mount namespace it was started in, and becomes the container's program.
// On error it returns, and the container's log holds the reason.
func ContainerInit(mountDev, mountProc, pivot func(string) error) error {
	f := os.NewFile(specFD, "spec")
	var spec Spec
	if err := json.NewDecoder(f).Decode(&spec); err != nil {
		return fmt.Errorf("container-init: spec: %w", err)
	}
	_ = f.Close()
	for _, f := range spec.Held {
		if _, err := os.Stat(f); err == nil {
			return fmt.Errorf("container-init: %s is held down by a fault", filepath.Base(f))
		}
	}
	if err := spec.build(mountDev, mountProc); err != nil {
		return fmt.Errorf("container-init: %w", err)
	}
	if err := pivot(spec.Root); err != nil {
		return fmt.Errorf("container-init: %w", err)
	}
	if spec.ReadOnly {
		if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("container-init: read-only root: %w", err)
		}
	}
	return spec.run()
}

func (spec *Spec) build(mountDev, mountProc func(string) error) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("tmpfs", spec.Root, "tmpfs", unix.MS_NODEV, "mode=755,size=64m"); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	for _, d := range []string{"usr/local/bin", "etc", "dev", "proc", "sys", "tmp", "root", "var/run", "run"} {
		if err := os.MkdirAll(filepath.Join(spec.Root, d), 0o755); err != nil {
			return err
		}
	}
	mounts := []*cri.Mount{
		{HostPath: "/sys", ContainerPath: "/sys", Readonly: true},
		{HostPath: spec.Resolv, ContainerPath: "/etc/resolv.conf"},
		{HostPath: "/etc/hosts", ContainerPath: "/etc/hosts", Readonly: true},
		{HostPath: "/etc/passwd", ContainerPath: "/etc/passwd", Readonly: true},
		{HostPath: "/etc/group", ContainerPath: "/etc/group", Readonly: true},
	}
	for name, path := range spec.Files {
		mounts = append(mounts, &cri.Mount{HostPath: path, ContainerPath: "/usr/local/bin/" + name, Readonly: true})
	}
	if err := mountDev(filepath.Join(spec.Root, "dev")); err != nil {
		return err
	}
	if err := mountProc(filepath.Join(spec.Root, "proc")); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	own := spec.Mounts
	sort.SliceStable(own, func(i, j int) bool { return len(own[i].GetContainerPath()) < len(own[j].GetContainerPath()) })
	for _, m := range append(mounts, own...) {
		if err := bind(spec.Root, m); err != nil {
			return err
		}
	}
	if spec.Hostname != "" {
		if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
			return fmt.Errorf("hostname: %w", err)
		}
	}
	return nil
}

func bind(root string, m *cri.Mount) error {
	src, err := filepath.EvalSymlinks(m.GetHostPath())
	if err != nil {
		return fmt.Errorf("mount %s: %w", m.GetContainerPath(), err)
	}
	st, err := os.Stat(src)
	if err != nil {
		return fmt.Errorf("mount %s: %w", m.GetContainerPath(), err)
	}
	dst := filepath.Join(root, m.GetContainerPath())
	if err := makeTarget(dst, st.IsDir()); err != nil {
		return fmt.Errorf("mount %s: %w", m.GetContainerPath(), err)
	}
	if err := unix.Mount(src, dst, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", src, m.GetContainerPath(), err)
	}
	if !m.GetReadonly() {
		return nil
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, dst, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("mount %s read-only: %w", m.GetContainerPath(), err)
	}
	return nil
}

func makeTarget(dst string, dir bool) error {
	if dir {
		return os.MkdirAll(dst, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(dst, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func (spec *Spec) run() error {
	dir := spec.Dir
	if dir == "" {
		dir = "/"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("container-init: working directory: %w", err)
	}
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("container-init: working directory: %w", err)
	}
	if err := os.Setenv("PATH", pathOf(spec.Env)); err != nil {
		return fmt.Errorf("container-init: %w", err)
	}
	program, err := exec.LookPath(spec.Args[0])
	if err != nil {
		return fmt.Errorf("container-init: %w", err)
	}
	if err := unix.Exec(program, spec.Args, spec.Env); err != nil {
		return fmt.Errorf("container-init: %s: %w", program, err)
	}
	return nil
}

func pathOf(env []string) string {
	path := containerPath
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	return path
}
