package reports

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports/certificate"
)

// The names of the files that others look for.
const (
	ResultFile = "report.json"
	PageFile   = "report.html"
)

// reportFile is a report and how it is made.
type reportFile struct {
	name string
	do   func(io.Writer, *plan.Result) error
}

// reportFiles are the reports of a run, over whose evidence there is a certificate.
func reportFiles(c *certificate.Certificate) []reportFile {
	return []reportFile{
		{ResultFile, JSON}, {"junit.xml", JUnit}, {"report.md", Markdown}, {"timeline.svg", SVG},
		{PageFile, func(w io.Writer, r *plan.Result) error { return HTML(w, r, c) }},
	}
}

// Names are the files that are made of a run's evidence.
func Names() []string {
	var out []string
	for _, w := range reportFiles(nil) {
		out = append(out, w.name)
	}
	return out
}

// Write writes all report files into the run's directory, and nowhere else: it may be one that somebody has sent us, with links in their places. Last comes
// the certificate over all that is there, signed where there is a key.
func Write(dir string, r *plan.Result, key ssh.Signer) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for _, old := range []string{certificate.Name, certificate.SignatureName} { // none is better than one of something else
		if err := root.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("report: %w", err)
		}
	}
	for _, p := range r.Pictures {
		if err := root.WriteFile(p.File, p.Page, 0o600); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	self, err := plan.ThisProgram()
	if err != nil {
		return err
	}
	evidence, _, err := certificate.Gather(root, Names())
	if err != nil {
		return err
	}
	c := certificate.Of(r, self, evidence)
	for _, w := range reportFiles(c) {
		f, err := root.Create(w.name)
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		if err := errors.Join(w.do(f, r), f.Close()); err != nil {
			return fmt.Errorf("report: %s: %w", w.name, err)
		}
	}
	return certify(root, c, key)
}

// certify seals the certificate over the reports and writes it.
func certify(root *os.Root, c *certificate.Certificate, key ssh.Signer) error {
	sealed, err := certificate.Reseal(root, c, Names())
	if err != nil {
		return err
	}
	raw, err := sealed.Encode()
	if err != nil {
		return err
	}
	if err := root.WriteFile(certificate.Name, raw, 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if key == nil {
		return nil
	}
	signature, err := certificate.Sign(key, raw)
	if err != nil {
		return err
	}
	if err := root.WriteFile(certificate.SignatureName, signature, 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Verify compares a run's directory with its certificate, whose evidence judge judges; the keys are those that are trusted to sign.
func Verify(dir string, judge func(dir string) (*plan.Result, error), keys []ssh.PublicKey) (*certificate.Verified, error) {
	self, err := plan.ThisProgram()
	if err != nil {
		return nil, err
	}
	return certificate.Verify(dir, Names(), self, judge, keys)
}
