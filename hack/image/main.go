// Image makes a container image with drydock in it, for a CI that runs containers: of packages of Debian, checked against its signed index, without a base
// image, a registry or a container engine. The same packages and the same program make the same image. Run it as hack/release.sh does:
//
//	go run ./hack/image -program bin/drydock -ref drydock:v0.1.0 -o drydock-image.tar
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"drydock.dev/drydock/hack/debian"
	"drydock.dev/drydock/harness/cluster/kind/image"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // nobody calls main
	defer stop()
	source := debian.Source{Tell: func(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }}
	source.Flags(flag.CommandLine, "")
	program := flag.String("program", "bin/drydock", "the drydock to put into it, static, for amd64")
	ref := flag.String("ref", "drydock:latest", "the image's name and tag")
	out := flag.String("o", "drydock-image.tar", "the archive to write, for docker load, podman load or ctr images import")
	flag.Parse()
	if err := write(ctx, source, *program, *ref, *out); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "image: %v\n", err)
		stop()
		os.Exit(2)
	}
}

// packages are the programs that a lab's machines, a kubelet and a script of a CI call; what they link follows.
func packages() []string {
	return []string{
		"base-files", "bash", "ca-certificates", "coreutils", "dash", "findutils", "grep", "gzip", "hostname", "iproute2", "iptables", "libc-bin", "mount",
		"nftables", "procps", "sed", "tar", "util-linux",
	}
}

func write(ctx context.Context, source debian.Source, program, ref, out string) (err error) {
	root, err := os.MkdirTemp("", "drydock-image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	links, err := fill(ctx, source, root)
	if err != nil {
		return err
	}
	return image.Write(image.Spec{
		Ref: ref, Files: map[string]string{"/": root, "/usr/local/bin/drydock": program}, Links: links, Entrypoint: []string{"/usr/local/bin/drydock"},
	}, out)
}

// merged are the directories that are links to others below /usr: a lab has nothing else of its host's programs.
func merged() []string { return []string{"bin", "sbin", "lib", "lib64"} }

func fill(ctx context.Context, source debian.Source, root string) (links map[string]string, err error) {
	index, err := source.Index(ctx)
	if err != nil {
		return nil, err
	}
	links = map[string]string{
		"/usr/lib64/ld-linux-x86-64.so.2": "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", // what every program of amd64 asks for
		"/usr/sbin/iptables":              "xtables-nft-multi",
	}
	for _, name := range merged() {
		links["/"+name] = "usr/" + name
		if err := errors.Join(os.MkdirAll(filepath.Join(root, "usr", name), 0o755), os.Symlink("usr/"+name, filepath.Join(root, name))); err != nil {
			return nil, err
		}
	}
	got := map[string]bool{}
	for _, name := range packages() {
		closure, err := index.Closure(name, func(dependency string) bool { return strings.HasPrefix(dependency, "lib") || dependency == "zlib1g" })
		if err != nil {
			return nil, err
		}
		for _, p := range closure {
			if got[p.Name] {
				continue
			}
			got[p.Name] = true
			if err := index.Unpack(ctx, p, root, keep); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range merged() { // they are links of the image's own
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			return nil, err
		}
	}
	return links, settle(root)
}

// keep leaves out what only people read.
func keep(name string) bool {
	return !slices.ContainsFunc([]string{"usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/info/", "usr/share/bash-completion/", "usr/lib/udev/"}, func(dir string) bool {
		return strings.HasPrefix(name, dir) && !strings.HasSuffix(name, "/copyright")
	})
}

// settle writes what the packages' own scripts would have.
func settle(root string) error {
	certificates, err := filepath.Glob(filepath.Join(root, "usr/share/ca-certificates/mozilla/*.crt"))
	if err != nil || len(certificates) == 0 {
		return fmt.Errorf("ca-certificates has no certificates: %w", errors.Join(err))
	}
	var bundle []byte
	for _, c := range certificates { // sorted
		raw, err := os.ReadFile(c)
		if err != nil {
			return err
		}
		bundle = append(bundle, raw...)
	}
	for name, text := range map[string]string{
		"etc/ssl/certs/ca-certificates.crt": string(bundle),
		"etc/passwd":                        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"etc/group":                         "root:x:0:\nnogroup:x:65534:\n",
		"tmp/.keep":                         "", // an image of files has no other way to a directory
		"root/.keep":                        "",
	} {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			return err
		}
	}
	return nil
}
