//go:build !linux

package lab

import (
	"context"
	"errors"
	"os"
	"runtime"

	"drydock.dev/drydock/harness/cluster"
)

// CheckHost refuses: a lab is made of Linux namespaces.
func CheckHost() error {
	return cluster.Usagef("this machine cannot hold a lab: it runs %s, and a lab is made of Linux namespaces; "+
		"use a Linux machine or virtual machine, or a machine where Docker runs with --provider kind", runtime.GOOS)
}

var errNotLinux = errors.New("a lab needs Linux")

type owned struct{}

func spawn(string, string, *os.File) (*owned, error) { return nil, errNotLinux }

func tryHost(context.Context, string) (cluster.Lacks, error) { return nil, errNotLinux }

func (*owned) keep() error { return errNotLinux }

func (*owned) end(context.Context) error { return errNotLinux }

func checkInotify(cluster.Topology) error { return errNotLinux }

// Warnings has none: there is no lab.
func Warnings() []string { return nil }

// Residue finds nothing: no lab can have run.
func Residue(string) ([]string, error) { return nil, nil }

func inhabitants(string) []string { return nil }
