// Package wholefile writes files that are there whole or not at all, and takes the sum of whole files.
package wholefile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Unfinished is the pattern of names that files have until they are whole: beside what they become, as a rename is whole only within a file system, and hidden,
// as the kubelet takes any other file among its manifests for one. Only who is killed leaves one.
const Unfinished = ".new-*"

// Write puts a file in its place when all of it is written: whoever reads it sees the old one or the new one, and nobody but its owner before it has its mode.
// A write that fails leaves the old one.
func Write(path string, mode fs.FileMode, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), Unfinished) // a name that two writers of one file do not share
	if err != nil {
		return err
	}
	if err = errors.Join(write(tmp), tmp.Chmod(mode), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// WriteBytes writes what is there already.
func WriteBytes(path string, mode fs.FileMode, data []byte) error {
	return Write(path, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteJSON writes a value as people can read it.
func WriteJSON(path string, mode fs.FileMode, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return WriteBytes(path, mode, append(raw, '\n'))
}

// Sum is the SHA-256 of a file, read as it goes: it may have some gigabytes.
func Sum(path string) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
