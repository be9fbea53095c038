package staging

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/cluster"
)

// Everything that is broken on a machine is broken in this order: what undoes it is written there, a timer is armed there that will do so, and only
// then it is done. So it ends, whatever becomes of this process, of this host and of the way to the machine. Undoing it runs the same and
// disarms the timer. All of it is in runDir, so that whoever comes can undo it.

// prelude is what the scripts share. $1 is the thing's id, $2 the seconds until the machine undoes it by itself. Ids are made of letters, digits
// and dashes only.
const prelude = `d=` + runDir + `; mkdir -p -m 700 $d; id=$1
behind() ( # runs a script that outlives the login, and its end
  unset ` + markEnv + `
  if command -v systemd-run >/dev/null && [ -d /run/systemd/system ]; then systemd-run --quiet --collect --unit="drydock-$id-$1-$$" /bin/sh "$2" </dev/null >/dev/null 2>&1
  else setsid /bin/sh "$2" </dev/null >/dev/null 2>&1 & fi
)
arm() { # the dead-man timer; what it is to do is in $d/$id.undo, and what disarms it is that its file goes
  cat >"$d/$id.timer.$$" <<END
i=0
while [ \$i -lt $1 ]; do [ -e $d/$id.timer.$$ ] || exit 0; sleep 1; i=\$((i+1)); done
[ -e $d/$id.timer.$$ ] || exit 0
echo "\$(date -u) $id: undone by the dead-man timer" >>$d/dead-man.log
. $d/$id.undo
END
  behind timer "$d/$id.timer.$$"
}
undo() { if [ -e "$d/$id.undo" ]; then . "$d/$id.undo"; fi; }
`

// deadMan is how long a machine waits, in seconds.
func (m *Machine) deadMan() string {
	return strconv.Itoa(int(m.cluster.inventory.DeadMan.Seconds()))
}

// begin refuses to break anything on a cluster that is not this process's own.
func (m *Machine) begin() error { return m.cluster.mine() }

// comm is a process's name as the kernel keeps it (TASK_COMM_LEN, 16 with the end).
func comm(process string) (string, error) {
	if strings.ContainsFunc(process, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	}) || process == "" {
		return "", cluster.Usagef("process %q: a name of letters, digits and dashes", process)
	}
	return process[:min(len(process), 15)], nil
}

// Hold keeps a unit of systemd's from being started, by a condition (systemd.unit(5)) that a boot takes away. What somebody else starts, as a kubelet
// does, is ended whenever it has been started: its manifest taken away would be missed after a boot. Such a start may live for a moment.
func (m *Machine) Hold(ctx context.Context, process string) (cluster.Holding, error) {
	if err := m.begin(); err != nil {
		return "", err
	}
	name, err := comm(process)
	if err != nil {
		return "", err
	}
	out, err := m.script(ctx, holdScript, "hold-"+process, m.deadMan(), name, process)
	if strings.TrimSpace(out) == "unit" {
		return cluster.HeldAway, err
	}
	return cluster.HeldStarts, err
}

// holdScript is what Hold does. $3 is the process's name as the kernel keeps it, $4 that of the unit. The directories it makes go with the condition, and
// those that were there stay, empty or not: by /run/systemd/system whoever asks knows that systemd has booted the machine (sd_booted(3)).
const holdScript = prelude + `c=$3; p=$4
if [ -e "$d/$id.undo" ]; then [ -e "$d/$id.loop" ] || echo unit; exit 0; fi
: >"$d/$id.killed"; : >"$d/$id.on"
u=; case "$(systemctl is-active "$p" 2>/dev/null)" in active|activating|reloading) u=/run/systemd/system/$p.service.d;; esac
printf 'rm -f %s\n' "$d/$id.on" >"$d/$id.undo.new"
if [ -n "$u" ]; then
  up=-p; if [ -d /run/systemd/system ]; then up=; fi
  printf 'rm -f %s/drydock.conf; rmdir %s %s 2>/dev/null || true; systemctl daemon-reload\n' "$u" "$up" "$u" >>"$d/$id.undo.new"
  printf 'systemctl reset-failed %s 2>/dev/null || true; systemctl start %s || true\n' "$p" "$p" >>"$d/$id.undo.new"
fi
printf 'rm -f %s.*\n' "$d/$id" >>"$d/$id.undo.new"
mv "$d/$id.undo.new" "$d/$id.undo"
arm "$2"
if [ -n "$u" ]; then
  mkdir -p "$u"; printf '[Unit]\nConditionPathExists=!%s\n' "$d/$id.on" >"$u/drydock.conf"; systemctl daemon-reload; echo unit; exit 0
fi
printf 'while [ -e %s ]; do for q in $(pgrep -x %s); do [ -e %s ] && kill -9 $q && echo $q >>%s; done; sleep 0.2; done 2>/dev/null\n' \
  "$d/$id.on" "$c" "$d/$id.on" "$d/$id.killed" >"$d/$id.loop"
behind loop "$d/$id.loop"`

// Release lets it run again; a unit that its supervisor has given up is started.
func (m *Machine) Release(ctx context.Context, process string) error {
	_, err := m.script(ctx, prelude+"undo", "hold-"+process)
	return err
}

// Kill ends the processes of that name. Those that Hold has ended since count: it may have been quicker.
func (m *Machine) Kill(ctx context.Context, process string) (int, error) {
	if err := m.begin(); err != nil {
		return 0, err
	}
	name, err := comm(process)
	if err != nil {
		return 0, err
	}
	out, err := m.script(ctx, `for q in $(pgrep -x "$1"); do if kill -9 "$q" 2>/dev/null; then echo "$q"; fi; done; cat "$2" 2>/dev/null || true`, name, runDir+"/hold-"+process+".killed")
	pids := map[string]bool{}
	for _, p := range strings.Fields(out) {
		pids[p] = true
	}
	return len(pids), err
}

// Freeze stops the processes of that name.
func (m *Machine) Freeze(ctx context.Context, process string) error {
	if err := m.begin(); err != nil {
		return err
	}
	name, err := comm(process)
	if err != nil {
		return err
	}
	const script = prelude + `c=$3
pgrep -x "$c" >/dev/null || { echo "no process named $c to freeze" >&2; exit 1; }
printf 'for q in $(pgrep -x %s); do kill -CONT $q || true; done; rm -f %s.*\n' "$c" "$d/$id" >"$d/$id.undo"
arm "$2"
for q in $(pgrep -x "$c"); do kill -STOP "$q"; done`
	_, err = m.script(ctx, script, "freeze-"+process, m.deadMan(), name)
	return err
}

// Thaw lets them go on.
func (m *Machine) Thaw(ctx context.Context, process string) error {
	name, err := comm(process)
	if err != nil {
		return err
	}
	_, err = m.script(ctx, prelude+`undo; for q in $(pgrep -x "$2"); do kill -CONT "$q" || true; done`, "freeze-"+process, name)
	return err
}

// State is the state letter of the first process of that name.
func (m *Machine) State(ctx context.Context, process string) (string, error) {
	name, err := comm(process)
	if err != nil {
		return "", err
	}
	out, err := m.script(ctx, `q=$(pgrep -x "$1" | head -n 1); [ -z "$q" ] || sed 's/.*) \(.\).*/\1/' "/proc/$q/stat"`, name)
	return strings.TrimSpace(out), err
}

// Cut drops packets with a table of nftables of its own. Our own login is left through: what is cut must be looked at and undone.
func (m *Machine) Cut(ctx context.Context, way cluster.Way, peers ...netip.Addr) error {
	if err := m.begin(); err != nil {
		return err
	}
	const script = prelude + `printf 'nft delete table inet drydock_staging 2>/dev/null || true; rm -f %s.*\n' "$d/$id" >"$d/$id.undo"
arm "$2"
printf '%s' "$3" | nft -f -`
	m.way.close(peers...)
	_, err := m.script(ctx, script, "cut", m.deadMan(), m.table(way, peers))
	return err
}

// table is the ruleset of a cut; without peers everybody is one.
func (m *Machine) table(way cluster.Way, peers []netip.Addr) string {
	family := "ip"
	if from, err := netip.ParseAddr(m.found.from); err == nil && from.Is6() {
		family = "ip6"
	}
	var in, out strings.Builder
	fmt.Fprintf(&in, "iifname lo accept; %s saddr %s tcp dport %s accept; ", family, m.found.from, m.found.sshPort)
	fmt.Fprintf(&out, "oifname lo accept; %s daddr %s tcp sport %s accept; ", family, m.found.from, m.found.sshPort)
	for _, p := range peers {
		family := "ip"
		if p.Is6() {
			family = "ip6"
		}
		if way != cluster.Outbound {
			fmt.Fprintf(&in, "%s saddr %s counter drop; ", family, p)
		}
		if way != cluster.Inbound {
			fmt.Fprintf(&out, "%s daddr %s counter drop; ", family, p)
		}
	}
	if len(peers) == 0 && way != cluster.Outbound {
		in.WriteString("counter drop; ")
	}
	if len(peers) == 0 && way != cluster.Inbound {
		out.WriteString("counter drop; ")
	}
	chain := func(name, hook, rules string) string {
		return fmt.Sprintf("chain %s { type filter hook %s priority -300; policy accept; %s}\n", name, hook, rules)
	}
	through := in.String() // what passes through the machine is its pods' traffic
	if way == cluster.Outbound {
		through = out.String()
	}
	return "table inet drydock_staging {\n" + chain("in", "input", in.String()) + chain("out", "output", out.String()) + chain("through", "forward", through) + "}\n"
}

// HealLinks undoes every cut.
func (m *Machine) HealLinks(ctx context.Context) error {
	_, err := m.script(ctx, prelude+"undo; nft delete table inet drydock_staging 2>/dev/null || true", "cut")
	if err == nil {
		m.way.open()
	}
	return err
}

// Dropped counts the packets the cuts have dropped.
func (m *Machine) Dropped(ctx context.Context) (n uint64, err error) {
	out, err := m.script(ctx, "nft list table inet drydock_staging 2>/dev/null || true")
	if err != nil {
		return 0, err
	}
	words := strings.Fields(out)
	for i, w := range words {
		if w != "packets" || i+1 >= len(words) {
			continue
		}
		packets, err := strconv.ParseUint(words[i+1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: nft: counter %q: %w", m.name, words[i+1], err)
		}
		n += packets
	}
	return n, nil
}

// login asks the login itself, before sudo, where it comes from.
func (m *Machine) login(ctx context.Context) (string, error) {
	s, done, err := m.remote.session(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	out, err := output(s, `echo "$SSH_CONNECTION"`)
	if err != nil {
		return "", fmt.Errorf("%s: ssh: %w", m.name, err)
	}
	return out, nil
}

func output(s *ssh.Session, command string) (string, error) {
	out, err := s.Output(command)
	return strings.TrimSpace(string(out)), err
}
