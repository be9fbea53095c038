package kind

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"drydock.dev/drydock/harness/cluster/kind/image"
)

// workload is an archive of the image drydock/workload: this program alone.
func (p *Provider) workload() (string, error) {
	f, err := os.Open(p.Program)
	if err != nil {
		return "", fmt.Errorf("the workload's image: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("the workload's image: %w", err)
	}
	dir := filepath.Join(p.CacheDir, "kind", "workload")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("the workload's image: %w", err)
	}
	file := filepath.Join(dir, hex.EncodeToString(h.Sum(nil))[:16]+".tar")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	return file, image.Write(image.Spec{
		Ref: "docker.io/drydock/workload:latest", Files: map[string]string{"/usr/local/bin/drydock": p.Program},
		Entrypoint: []string{"/usr/local/bin/drydock", "workload"},
	}, file)
}
