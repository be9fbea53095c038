// Mkimg makes an image from files:
//
//	mkimg -ref NAME:TAG -o FILE.tar [-entrypoint "PROGRAM ARG…"] PATH=FILE… PATH@TARGET…
//
// PATH=FILE puts a file or a directory of this machine into the image, PATH@TARGET a symbolic link.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"drydock.dev/drydock/harness/cluster/kind/image"
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "mkimg:", err)
		os.Exit(1)
	}
}

func run() error {
	s := image.Spec{Files: map[string]string{}, Links: map[string]string{}}
	flag.StringVar(&s.Ref, "ref", "", "the image's name and tag")
	out := flag.String("o", "", "the archive to write")
	entrypoint := flag.String("entrypoint", "", "the program it runs, and arguments")
	flag.Parse()
	s.Entrypoint = strings.Fields(*entrypoint)
	for _, arg := range flag.Args() {
		if dst, src, ok := strings.Cut(arg, "="); ok {
			s.Files[dst] = src
		} else if dst, target, ok := strings.Cut(arg, "@"); ok {
			s.Links[dst] = target
		} else {
			return fmt.Errorf("%q is neither PATH=FILE nor PATH@TARGET", arg)
		}
	}
	return image.Write(s, *out)
}
