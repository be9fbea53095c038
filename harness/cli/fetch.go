package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/harness/upgrade/policy"
	"drydock.dev/drydock/harness/wholefile"
)

func fetchCommand(o *options) *cobra.Command {
	var from, exported, imported string
	c := &cobra.Command{
		Use: "fetch [VERSION…]", Short: "Get all programs of Kubernetes and etcd versions into the cache, now; keep them in a file, or take them from one",
		Long: `Fetch downloads the programs of versions, or builds them where the release servers do not answer, as run and up do when they need them. A version is v1.35, the
newest known of a minor, or any patch release of one, v1.35.2; v3.5.19 is one of etcd. Without any it gets what an upgrade begins with and goes to by default.
The newest known etcd is always among them, and so is that of each version's kubeadm.

With --export all of that is put into one file, with checksums: the same programs make the same file, which a CI can keep. --import compares the programs of
such a file with its checksums and puts them into the cache; of a version of which anything is wrong, nothing. What the cache has already stays.`,
		Example: `  drydock fetch v1.35 v1.36
  drydock fetch v3.5.19                              any etcd
  drydock fetch --from v1.35.2                       of v1.35.2 and of each version on the way to the newest
  drydock fetch v1.36 --export drydock-cache.tar.gz
  drydock fetch --import drydock-cache.tar.gz`,
		ValidArgsFunction: completeVersions,
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := o.host()
			if err != nil {
				return err
			}
			if imported != "" {
				if len(args) > 0 {
					return cluster.Usagef("--import takes what is in the file; %q is to be fetched: say them one after the other", args)
				}
				return importFile(cmd, at.Store(), imported)
			}
			versions, err := wanted(args, from)
			if err != nil {
				return err
			}
			for i := 0; i < len(versions); i++ { // kubeadm, when it is there, names one more
				v := versions[i]
				if err := at.Store().Ensure(cmd.Context(), v, v.Programs...); err != nil {
					return err
				}
				if versions, err = withEtcd(cmd.Context(), at.Store(), v, versions); err != nil {
					return err
				}
				printf(cmd.OutOrStdout(), "%-12s %-10s %s\n", v.Product.Name, v.Version, filepath.Join(at.Store().Root(), v.Product.Name, v.Version))
			}
			if exported == "" {
				return nil
			}
			pack := func(w io.Writer) error { return at.Store().Export(cmd.Context(), w, versions...) }
			if err := wholefile.Write(exported, 0o644, pack); err != nil { // what is cut off is never taken for one
				return fmt.Errorf("export to %s: %w", exported, err)
			}
			printf(cmd.OutOrStdout(), "%d MiB in %s\n", diskUse(exported)>>20, exported)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&from, "from", "", "of this version, and of each that an upgrade of it to the newest known one goes by")
	f.StringVar(&exported, "export", "", "put them into this file as well, with checksums")
	f.StringVar(&imported, "import", "", "take them from this file, which --export has made, and fetch nothing")
	c.MarkFlagsMutuallyExclusive("from", "import")
	c.MarkFlagsMutuallyExclusive("export", "import")
	_ = c.RegisterFlagCompletionFunc("from", completeVersions)
	return c
}

func completeVersions(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	known, _ := policy.KnownVersions(release.Kubernetes) // none are offered where the table cannot be read
	return known, cobra.ShellCompDirectiveNoFileComp
}

// wanted looks all names up before anything is fetched; the newest etcd is always among them.
func wanted(names []string, from string) ([]release.Version, error) {
	etcd, err := release.Resolve(release.Etcd, "")
	if err != nil {
		return nil, err
	}
	switch {
	case from != "":
		way, err := wayFrom(from)
		if err != nil {
			return nil, err
		}
		names = append(names, way...)
	case len(names) == 0:
		names = []string{release.DefaultVersion, ""}
	}
	out := []release.Version{etcd}
	for _, name := range names {
		product := release.Kubernetes
		if strings.HasPrefix(name, "v3") { // Kubernetes has no such major
			product = release.Etcd
		}
		if out, err = add(out, product, name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// withEtcd adds the etcd that the kubeadm of a version of Kubernetes chooses.
func withEtcd(ctx context.Context, store *release.Store, v release.Version, versions []release.Version) ([]release.Version, error) {
	if v.Product.Name != release.Kubernetes {
		return versions, nil
	}
	chosen, err := store.EtcdOf(ctx, v.Version)
	if err != nil {
		return nil, err
	}
	return add(versions, release.Etcd, chosen)
}

// add looks a version up, and adds it where it is not among them.
func add(versions []release.Version, product, name string) ([]release.Version, error) {
	v, err := release.Resolve(product, name)
	if err != nil || slices.ContainsFunc(versions, func(o release.Version) bool { return o.Product.Name == product && o.Version == v.Version }) {
		return versions, err
	}
	return append(versions, v), nil
}

// wayFrom is a version and those by which an upgrade of it reaches the newest it can.
func wayFrom(from string) ([]string, error) {
	v, err := release.Resolve(release.Kubernetes, from)
	if err != nil {
		return nil, err
	}
	known, err := policy.KnownVersions(release.Kubernetes)
	if err != nil {
		return nil, err
	}
	paths, err := policy.Targets(v.Version, known)
	if err != nil || len(paths) == 0 {
		return []string{v.Version}, err
	}
	return append([]string{v.Version}, paths[len(paths)-1].Hops...), nil
}

func importFile(cmd *cobra.Command, store *release.Store, file string) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return cluster.Usagef("import: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return store.Import(cmd.Context(), io.Reader(f), file, func(p release.Program, kept bool) {
		word := "imported"
		if kept {
			word = "the cache has it already"
		}
		printf(cmd.OutOrStdout(), "%-12s %-10s %-24s %s\n", p.Product, p.Version, p.Name, word)
	})
}
