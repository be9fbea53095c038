package preflight

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
)

// begunBefore finds an upgrade that was begun and not finished: mixed versions, or what it keeps on machines.
func begunBefore(in *reading) []plan.Finding {
	var out []plan.Finding
	u := in.Input
	versions := map[string][]string{}
	for _, c := range in.Upgraded {
		if c.Version != "" {
			versions[c.Version] = append(versions[c.Version], c.String())
		}
	}
	resumes := true
	for v := range versions {
		if v != u.Path.From && v != u.Path.Hops[0] {
			resumes = false
		}
	}
	if len(versions) > 1 {
		f := plan.Finding{
			Check: "earlier upgrade", Severity: plan.Warning, What: "components of several versions: " + sorted(versions), Why: "an upgrade was begun and not finished",
			Fix: "this one goes on with it",
		}
		if !resumes {
			f.Severity, f.Fix = plan.Blocker, "finish the earlier upgrade to its own target first"
		}
		out = append(out, f)
	}
	for machine, from := range in.Unfinished {
		if from != u.Path.From && from != u.Path.Hops[0] {
			out = append(out, plan.Finding{
				Check: "earlier upgrade", Severity: plan.Blocker, What: fmt.Sprintf("%s has unfinished business from %s", machine, from),
				Why: "its saved files are of another upgrade", Fix: "finish or roll back that upgrade first",
			})
		}
	}
	return out
}

// earlierUpgrade also finds files that kubeadm has put aside.
func earlierUpgrade(ctx context.Context, in *reading) ([]plan.Finding, error) {
	out := begunBefore(in)
	for _, m := range in.machines(cluster.ControlPlane) {
		left, err := kubeadm.Backups(ctx, m)
		if err != nil {
			return nil, err
		}
		if len(left) == 0 || in.Unfinished[m.Name()] != "" {
			continue
		}
		out = append(out, plan.Finding{
			Check: "earlier upgrade", Severity: plan.Warning, What: fmt.Sprintf("%s has kubeadm's backups: %s", m.Name(), strings.Join(left, ", ")),
			Why: "kubeadm leaves them after every upgrade, and after one that was interrupted they are all there is of the old manifests",
			Fix: "compare them with " + kubeadm.ManifestDir + " and delete them",
		})
	}
	return out, nil
}

func sorted(m map[string][]string) string {
	var parts []string
	for v, who := range m {
		if len(who) > 2 {
			who = append(who[:2:2], fmt.Sprintf("%d more", len(who)-2))
		}
		parts = append(parts, v+": "+strings.Join(who, ", "))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

// expiresWithin is how much of its life a certificate must have left to outlive an upgrade and a weekend.
const expiresWithin = 7 * 24 * time.Hour

// certificates reads those that machines serve and use; kubeadm renews them during an upgrade, but not when they are dead before it.
func certificates(ctx context.Context, in *reading) ([]plan.Finding, error) {
	var out []plan.Finding
	for _, m := range append(in.machines(cluster.ControlPlane), in.machines(cluster.Worker)...) {
		text, err := cluster.Shell(ctx, m, "for f in /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt /etc/kubernetes/*.conf /var/lib/kubelet/pki/kubelet-client-current.pem; do "+
			"if test -e $f; then echo \"# $f\"; cat $f; echo; fi; done")
		if err != nil {
			return nil, err
		}
		ends, err := expiries(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name(), err)
		}
		for _, name := range slices.Sorted(maps.Keys(ends)) {
			end := ends[name]
			left := time.Until(end)
			if left > expiresWithin {
				continue
			}
			f := plan.Finding{
				Check: "certificates", Severity: plan.Warning, What: fmt.Sprintf("%s on %s ends %s", name, m.Name(), end.Format(time.DateTime)),
				Why: "when it ends, what uses it stops", Fix: "kubeadm certs renew, or finish the upgrade before",
			}
			if left <= 0 {
				f.Severity = plan.Blocker
			}
			out = append(out, f)
		}
	}
	return out, nil
}

// expiries reads "# FILE" lines, each followed by its PEM or its kubeconfig, and gives the first end of each file's certificates.
func expiries(text string) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	for _, part := range strings.Split("\n"+text, "\n# /")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		name = "/" + name
		raw := []byte(rest)
		if strings.HasSuffix(name, ".conf") {
			cfg, err := clientcmd.Load(raw)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			raw = nil
			for _, user := range cfg.AuthInfos {
				raw = append(raw, user.ClientCertificateData...) // one that names a file has it read as that
			}
			if len(raw) == 0 {
				continue
			}
		}
		certs, err := certutil.ParseCertsPEM(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, c := range certs {
			if end, seen := out[name]; !seen || c.NotAfter.Before(end) {
				out[name] = c.NotAfter
			}
		}
	}
	return out, nil
}

// spaceNeeded is what an upgrade writes on a machine: backups, a copy of etcd's data by kubeadm, new images.
const spaceNeeded = 2 << 30

func diskSpace(ctx context.Context, in *reading) ([]plan.Finding, error) {
	var out []plan.Finding
	for _, m := range append(in.machines(cluster.ControlPlane), in.machines(cluster.Worker)...) {
		r, err := m.Exec(ctx, cluster.Command{Args: []string{"df", "-Pk", "/var/lib"}})
		if err != nil {
			return nil, err
		}
		lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
		fields := strings.Fields(lines[len(lines)-1])
		if len(fields) < 4 {
			return nil, fmt.Errorf("%s: df said %q", m.Name(), r.Stdout)
		}
		kib, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: df said %q", m.Name(), r.Stdout)
		}
		if kib<<10 < spaceNeeded {
			out = append(out, plan.Finding{
				Check: "disk space", Severity: plan.Blocker, What: fmt.Sprintf("%s has %d MiB free below /var/lib, %d are needed", m.Name(), kib>>10, spaceNeeded>>20),
				Why: "kubeadm copies etcd's data before it touches it, and a full disk stops etcd", Fix: "free some, or grow the disk",
			})
		}
	}
	return out, nil
}
