package kind

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// named is a shell function over the processes of a name, by /proc: comm is the first 15 bytes of it. What a pod runs is in it too, its PID namespace
// being below the node's. It prints "PID STATE" of each that is no zombie.
const named = `named() { for p in /proc/[0-9]*; do
  { read -r comm <"$p/comm"; } 2>/dev/null || continue
  [ "$comm" = "$(printf %.15s "$1")" ] || continue
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "$p/status" 2>/dev/null)
  case "$state" in ''|Z|X) ;; *) echo "${p#/proc/} $state";; esac
done; }
`

// signal sends one to the processes of a name and counts them.
func (m *Machine) signal(ctx context.Context, process, signal string) (int, error) {
	r, err := m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-c", named + `n=0
for pid in $(named "$0" | cut -d' ' -f1); do kill -` + signal + ` "$pid" && n=$((n+1)); done; echo "$n"`, process}})
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(r.Stdout))
	if err != nil {
		return 0, fmt.Errorf("%s: signal %s to %s: %q: %w", m.name, signal, process, r.Stdout, err)
	}
	return n, nil
}

// Freeze stops the processes of that name.
func (m *Machine) Freeze(ctx context.Context, process string) error {
	n, err := m.signal(ctx, process, "STOP")
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: no process named %q to freeze", m.name, process)
	}
	return err
}

// Thaw lets them go on.
func (m *Machine) Thaw(ctx context.Context, process string) error {
	_, err := m.signal(ctx, process, "CONT")
	return err
}

// State is the state letter of the first process of that name.
func (m *Machine) State(ctx context.Context, process string) (string, error) {
	r, err := m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-c", named + `named "$0" | head -n 1 | cut -d' ' -f2`, process}})
	return strings.TrimSpace(r.Stdout), err
}

// Kill kills the processes of that name.
func (m *Machine) Kill(ctx context.Context, process string) (int, error) {
	return m.signal(ctx, process, "KILL")
}

const (
	manifests = "/etc/kubernetes/manifests"
	heldDir   = "/etc/kubernetes/drydock-held"
)

// Hold takes a static pod's manifest away, or keeps systemd from starting a service. The kubelet would end the pod gently: the processes are stopped first,
// so that they get to say nothing before they are killed.
func (m *Machine) Hold(ctx context.Context, process string) (cluster.Holding, error) {
	if strings.Contains(process, "@") {
		return "", fmt.Errorf("%s: hold %s: %w: one version alone cannot be held here", m.name, process, cluster.ErrUnsupported)
	}
	const script = named + `
manifest=` + manifests + `/$0.yaml held=` + heldDir + `
if [ -e "$manifest" ]; then
  for pid in $(named "$0" | cut -d' ' -f1); do kill -STOP "$pid"; done
  mkdir -p "$held"; mv -f "$manifest" "$held/$0.yaml"
elif [ -e "$held/$0.yaml" ]; then :
elif systemctl cat "$0.service" >/dev/null 2>&1; then
  mkdir -p "$held" "/etc/systemd/system/$0.service.d"; touch "$held/$0"
  printf '[Unit]\nConditionPathExists=!%s\n' "$held/$0" >"/etc/systemd/system/$0.service.d/drydock-held.conf"
  systemctl daemon-reload
else
  echo "neither a static pod nor a service" >&2; exit 1
fi`
	_, err := m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-ec", script, process}})
	return cluster.HeldAway, err
}

// Release gives it back. A manifest that was written meanwhile is the newer one and stays.
func (m *Machine) Release(ctx context.Context, process string) error {
	const script = named + `
manifest=` + manifests + `/$0.yaml held=` + heldDir + ` dropin=/etc/systemd/system/$0.service.d/drydock-held.conf
if [ -e "$held/$0.yaml" ]; then
  if [ -e "$manifest" ]; then rm -f "$held/$0.yaml"; else mv -f "$held/$0.yaml" "$manifest"; fi
fi
for pid in $(named "$0" | cut -d' ' -f1); do kill -CONT "$pid" || true; done
if [ -e "$dropin" ]; then
  rm -f "$held/$0" "$dropin"; rmdir --ignore-fail-on-non-empty "${dropin%/*}"; systemctl daemon-reload; systemctl start "$0"
fi
if [ -d "$held" ]; then rmdir --ignore-fail-on-non-empty "$held"; fi`
	_, err := m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-ec", script, process}})
	return err
}
