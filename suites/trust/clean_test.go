package trust

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
)

// burn keeps every processor busy by processes of its own until the spec is over.
func burn(ctx context.Context) {
	GinkgoHelper()
	for range runtime.NumCPU() {
		cmd := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		Expect(cmd.Start()).To(Succeed())
		DeferCleanup(func() {
			_ = cmd.Process.Kill() // by its own id
			_ = cmd.Wait()
		})
	}
}

// cleanRuns is how many there are: DRYDOCK_CLEAN_RUNS, or 20.
func cleanRuns() int {
	if n, err := strconv.Atoi(os.Getenv("DRYDOCK_CLEAN_RUNS")); err == nil && n > 0 {
		return n
	}
	return 20
}

var _ = Describe("a run in which nothing is wrong", Label("tier: nightly", "needs: kubernetes"), func() {
	It("is never NO-GO on a host that has no time, and nearly always GO", func(ctx context.Context) {
		sc, err := experiment.Parse("clean.yaml", []byte("apiVersion: drydock.dev/v1alpha1\nkind: Scenario\nmetadata: {name: clean}\nspec:\n"+quiet))
		Expect(err).NotTo(HaveOccurred())
		burn(ctx)
		all, went := cleanRuns(), 0
		for i := range all {
			res, err := suite.Run(ctx, sc, experiment.Options{})
			Expect(err).NotTo(HaveOccurred())
			GinkgoWriter.Println("run", i+1, "of", all, "is", res.Verdict, res.Reasons)
			Expect(res.Verdict).NotTo(Equal(plan.NoGo), fmt.Sprint(res.Reasons))
			if res.Verdict == plan.Go {
				went++
			}
		}
		Expect(went).To(BeNumerically(">=", (9*all+9)/10))
	}, NodeTimeout(2*time.Hour))
})

// shortLived is a certificate that ends after a time, which may be over.
func shortLived(left time.Duration) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "front-proxy-client"}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(left),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), nil
}
