package etcd

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
)

func TestCheckSnapshot(t *testing.T) {
	data := bytes.Repeat([]byte("page"), 256)
	sum := sha256.Sum256(data)
	good := append(bytes.Clone(data), sum[:]...)
	flipped := bytes.Clone(good)
	flipped[100] ^= 1
	for name, c := range map[string]struct {
		content []byte
		ok      bool
	}{"whole": {good, true}, "a flipped bit": {flipped, false}, "cut off": {good[:len(good)-100], false}, "a database file without checksum": {data, false}, "empty": {nil, false}} {
		file := filepath.Join(t.TempDir(), "snapshot.db")
		if err := os.WriteFile(file, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckSnapshot(file); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
