//go:build !linux

package cli

import (
	"context"
	"errors"
	"io"
)

var errNotLinux = errors.New("this runs inside a lab, which needs Linux")

func labInit(context.Context, []string) error { return errNotLinux }

func labTry(context.Context, []string) error { return errNotLinux }

func machineInit(context.Context, []string) error { return errNotLinux }

func fillMemory(context.Context, []string) error { return errNotLinux }

func vmHost(context.Context, []string) error { return errNotLinux }

func vmGuest(context.Context, []string) error { return errNotLinux }

func vmMachine(context.Context, []string) error { return errNotLinux }

func containerInit(context.Context, []string) error { return errNotLinux }

func systemctlOne(context.Context, string, string, int, bool, io.Writer) (int, error) {
	return 1, errNotLinux
}

func journalctl(context.Context, []string) error { return errNotLinux }

func serveWorkload(context.Context, string) error { return errNotLinux }
