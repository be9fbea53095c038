package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// docker runs the docker command line. It is the command and not a client of the daemon's API because kind's library runs it too: both then go by the
// same DOCKER_HOST, context and credentials, and whoever debugs can type what was done.
type docker func(ctx context.Context, io streams, args ...string) error

type streams struct {
	in       io.Reader // nil: empty
	out, err io.Writer
}

// program is docker as it is found on the PATH.
func program(ctx context.Context, s streams, args ...string) error {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	cmd.WaitDelay = time.Second // what holds its streams open does not hold us
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it has ended well, and a child of it has not
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// out runs a command and gives what it printed, trimmed; the error has what it complained of.
func (d docker) out(ctx context.Context, args ...string) (string, error) {
	return d.pipe(ctx, nil, args...)
}

func (d docker) pipe(ctx context.Context, in io.Reader, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	if err := d(ctx, streams{in, &stdout, &stderr}, args...); err != nil {
		return "", &dockerError{verb: args[0], said: strings.TrimSpace(stderr.String()), cause: err}
	}
	return strings.TrimSpace(stdout.String()), nil
}

// dockerError is a docker command that failed.
type dockerError struct {
	verb, said string
	cause      error
}

func (e *dockerError) Error() string {
	return fmt.Sprintf("docker %s: %v: %s", e.verb, e.cause, e.said)
}

func (e *dockerError) Unwrap() error { return e.cause }

// said reports whether docker complained of that.
func said(err error, words ...string) bool {
	var e *dockerError
	if !errors.As(err, &e) {
		return false
	}
	for _, w := range words {
		if strings.Contains(strings.ToLower(e.said), w) {
			return true
		}
	}
	return false
}

// exitCode is the code a command ended with; false when it never ran or was killed.
func exitCode(err error) (int, bool) {
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exit.ExitCode(), true
	}
	return -1, false
}

// daemon is what is asked of the daemon before anything else.
type daemon struct{ CgroupVersion, OSType string }

// check says why docker cannot be used, and what to do.
func (d docker) check(ctx context.Context) (daemon, error) {
	const elsewhere = "; or use --provider lab, which needs none"
	raw, err := d.out(ctx, "info", "--format", "{{json .}}")
	var info daemon
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return info, cluster.Usagef("provider kind needs Docker, and there is no docker program on the PATH: install it (Debian: docker.io; see hack/kind/README.md)" + elsewhere)
	case said(err, "permission denied"):
		return info, cluster.Usagef("provider kind needs Docker, and its daemon refuses this user: join the group docker (`sudo usermod -aG docker $USER`, then log in again), or run with sudo%s: %w", elsewhere, err)
	case err != nil:
		return info, cluster.Usagef("provider kind needs Docker, and its daemon does not answer: start it (`sudo systemctl start docker`, or hack/kind/dockerd start), or point DOCKER_HOST to one%s: %w", elsewhere, err)
	}
	if err := json.Unmarshal([]byte(raw), &info); err != nil {
		return info, fmt.Errorf("docker info: %w", err)
	}
	if info.OSType == "" { // docker 28 and later answer without a daemon, with an empty one
		return info, cluster.Usagef("provider kind needs Docker, and its daemon does not answer: start it (`sudo systemctl start docker`, or hack/kind/dockerd start), or point DOCKER_HOST to one%s", elsewhere)
	}
	return info, nil
}

// has reports whether the daemon has an image.
func (d docker) has(ctx context.Context, image string) (bool, error) {
	_, err := d.out(ctx, "image", "inspect", "--format", "{{.Id}}", image)
	if said(err, "no such image") {
		return false, nil
	}
	return err == nil, err
}

// container is what is asked of one.
type container struct {
	Name  string
	State struct {
		Running   bool
		Paused    bool
		Pid       int
		StartedAt string
	}
	Config          struct{ Labels map[string]string }
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

// inspect asks for one container; false when there is none of that name.
func (d docker) inspect(ctx context.Context, name string) (container, bool, error) {
	raw, err := d.out(ctx, "container", "inspect", name)
	if said(err, "no such container") {
		return container{}, false, nil
	}
	if err != nil {
		return container{}, false, err
	}
	var all []container
	if err := json.Unmarshal([]byte(raw), &all); err != nil || len(all) != 1 {
		return container{}, false, fmt.Errorf("docker inspect %s: %d answers: %w", name, len(all), err)
	}
	all[0].Name = strings.TrimPrefix(all[0].Name, "/")
	return all[0], true, nil
}

// named lists the containers, also those that do not run, with a label.
func (d docker) named(ctx context.Context, label string) ([]string, error) {
	raw, err := d.out(ctx, "ps", "--all", "--filter", "label="+label, "--format", "{{.Names}}")
	return strings.Fields(raw), err
}
