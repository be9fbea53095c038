package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// command runs drydock in this process and returns its exit code and what it said on standard error.
func command(t *testing.T, args ...string) (int, string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = w
	defer func() { os.Stderr = old }()
	said := make(chan string)
	go func() {
		var b bytes.Buffer
		_, _ = io.Copy(&b, r)
		said <- b.String()
	}()
	code := Main(append([]string{"drydock"}, args...))
	_ = w.Close()
	return code, <-said
}

// TestBadInput: a clear message, exit code 2, and nothing left in the state directory.
func TestBadInput(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("apiVersion: drydock.dev/v1alpha1\nkind: Scenario\nmetadata: {name: x}\nspec: {stops: []}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expired, empty, policy := expiredAuthority(t), filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "policy.yaml")
	timings, typo := filepath.Join(t.TempDir(), "timings.yaml"), filepath.Join(t.TempDir(), "typo.yaml")
	recording, calls := filepath.Join(t.TempDir(), "recording.jsonl"), filepath.Join(t.TempDir(), "calls.jsonl")
	for path, content := range map[string]string{recording: `{"method":"GET","url":"https://x/"}`, calls: `{"method":"GET","path":"/subscriptions"}`, empty: "", timings: "types:\n  Microsoft.Compute/disks: {create: {min: 1s, mx: 2s}}\n", typo: "types:\n  Microsoft.Compute/disk: {form: async}\n", policy: "name: mine\ngateway: {subscription: {reads: {capcity: 3}}}\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"policy with a typo":       {[]string{"arm", "serve", "--policy", policy}, []string{"policy.yaml", "capcity"}},
		"timings with a typo":      {[]string{"arm", "serve", "--timings", timings}, []string{"timings.yaml", "line 2", "mx"}},
		"timings of no type":       {[]string{"arm", "serve", "--timings", typo}, []string{"typo.yaml", "types: Microsoft.Compute/disk: the twin has no such type"}},
		"no such timings":          {[]string{"arm", "serve", "--timings", file + "-none"}, []string{"timings", "no such file"}},
		"versions of no machines":  {[]string{"arm", "serve", "--kubernetes-versions", "1.23.17=v1.35.4"}, []string{"--kubernetes-versions", "--lab NAME"}},
		"machines of no version":   {[]string{"arm", "serve", "--lab", "none", "--kubernetes-versions", "1.23.17=v1.99"}, []string{"--kubernetes-versions: 1.23.17", "v1.99"}},
		"no such policy":           {[]string{"arm", "serve", "--policy", "modern"}, []string{"modern", "current, legacy"}},
		"twin's port in use":       {[]string{"arm", "serve", "--listen", "127.0.0.1:" + port}, []string{port, "port 0 chooses a free one"}},
		"twin beyond the loopback": {[]string{"arm", "serve", "--listen", "0.0.0.0:0"}, []string{"--any-host"}},
		"expired authority":        {[]string{"arm", "serve", "--ca-cert", expired, "--ca-key", expired}, []string{"expired on 2020-01-02"}},
		"an impossible clock":      {[]string{"arm", "serve", "--clock", "backwards"}, []string{"wall, virtual"}},
		"unreadable recording":     {[]string{"arm", "proxy", "--replay", bad}, []string{"bad.yaml", "line 1 is no exchange"}},
		"calibrated by a policy":   {[]string{"arm", "calibrate", bad}, []string{"bad.yaml", "line 1 is no exchange"}},
		"calibrated by nothing":    {[]string{"arm", "calibrate", empty}, []string{"is empty"}},
		"calibrated on no base":    {[]string{"arm", "calibrate", empty, "--base", "modern"}, []string{"modern", "current, legacy"}},
		"proxy beyond loopback":    {[]string{"arm", "proxy", "--listen", ":0"}, []string{"--any-host"}},
		"empty call log":           {[]string{"arm", "budget", empty}, []string{"is empty"}},
		"budget of a recording":    {[]string{"arm", "budget", recording}, []string{"line 1 is of a recording", "arm calibrate"}},
		"budget of nobody":         {[]string{"arm", "budget", calls, "--principal", "x"}, []string{`no call of principal "x"`}},
		"no twin to look at":       {[]string{"arm", "top", "--ready-file", file + "-none"}, []string{"no twin is ready"}},
		"twin of no cluster":       {[]string{"arm", "serve", "--lab", "nope"}, []string{"nope", "running: none"}},
		"unknown field":            {[]string{"run", bad}, []string{"bad.yaml", "line 4", "stops", "steps"}},
		"unknown scenario":         {[]string{"run", "nothing"}, []string{"nothing", "etcd-leader-crash"}},
		"unknown provider":         {[]string{"run", "etcd-leader-crash", "--provider", "cloud"}, []string{"cloud", "lab"}},
		"negative count":           {[]string{"up", "--workers", "-1"}, []string{"workers is -1"}},
		"unknown version":          {[]string{"up", "--version", "v1.2"}, []string{"v1.2", "v1.35.4, v1.36.3"}},
		"unknown etcd layout":      {[]string{"up", "--etcd", "both"}, []string{"stacked, external, only"}},
		"unknown command of group": {[]string{"fault", "remove"}, []string{`unknown command "remove" for "drydock fault"`}},
		"unknown flag":             {[]string{"up", "--nodes", "3"}, []string{"--nodes"}},
		"state directory":          {[]string{"up", "--etcd", "only", "--state-dir", filepath.Join(file, "x")}, []string{"cannot be written", "--state-dir"}},
		"logs of no lab":           {[]string{"logs", "etcd-1", "--name", "nope"}, []string{"nope", "running: none"}},
		"logs since nonsense":      {[]string{"logs", "--since", "yesterday"}, []string{"yesterday", "10m", "T"}},
		"cp between files":         {[]string{"cp", "/etc/hosts", "./x"}, []string{"MACHINE:PATH", "./x"}},
		"cp between machines":      {[]string{"cp", "a:/etc/hosts", "b:/x"}, []string{"MACHINE:PATH", "b:/x"}},
		"cp of no path":            {[]string{"cp", "a:", "x"}, []string{"a path is missing"}},
		"cp of no lab":             {[]string{"cp", "a:/etc/hosts", "x", "--name", "nope"}, []string{"nope", "running: none"}},
		"no such lab":              {[]string{"shell", "etcd-1", "--name", "nope"}, []string{"nope", "running: none"}},
		"trend of no directory":    {[]string{"report", "trend", file + "-none"}, []string{"-none", "no such file", "name a directory with runs"}},
		"trend of no run":          {[]string{"report", "trend", filepath.Dir(empty)}, []string{"no run that has ended can be read there (0 go on, 0 are unreadable)"}},
		"serve an impossible port": {[]string{"report", "serve", filepath.Dir(empty), "--port", "70000"}, []string{"--port is 70000"}},
		"serve a port in use":      {[]string{"report", "serve", filepath.Dir(empty), "--port", port}, []string{port, "--port 0 chooses a free one"}},
		"no such journal":          {[]string{"report", file + "-none"}, []string{"journal"}},
		"port in use":              {[]string{"up", "--api-port", port, "--name", "p"}, []string{port, "--api-port"}},
		"bin-dir is not there":     {[]string{"up", "--etcd", "only", "--bin-dir", file + "-none"}, []string{"--bin-dir", "not a directory"}},
		"an impossible port":       {[]string{"up", "--api-port", "99999", "--name", "p"}, []string{"99999"}},
		"etcd-only with a worker":  {[]string{"up", "--etcd", "only", "--workers", "1"}, []string{"no workers"}},
		"too many members":         {[]string{"up", "--etcd", "only", "--etcd-members", "9"}, []string{"at most 7"}},
		"kubectl on no cluster":    {[]string{"kubectl", "--name", "nope", "get", "nodes"}, []string{"nope"}},
		"kubectl, own flags first": {[]string{"--state-dir", file + "-none", "kubectl", "-q", "--name", "nope", "get", "nodes"}, []string{"nope", "running: none"}},
		"kubectl's flags first":    {[]string{"kubectl", "-n", "kube-system", "get", "pods"}, []string{"no lab named", "drydock"}},
		"heal of something else":   {[]string{"heal", file}, []string{"journal"}},
		"plan of an absent file":   {[]string{"plan", file + ".yaml"}, []string{"no such file"}},
		"upgrade to nowhere":       {[]string{"upgrade"}, []string{"to is missing"}},
		"upgrade of no cluster":    {[]string{"upgrade", "--to", "v1.36", "--name", "nope"}, []string{"nope", "running: none"}},
		"preflight of no cluster":  {[]string{"preflight", "--to", "v1.36", "--name", "nope"}, []string{"nope", "running: none"}},
		"nothing to resume":        {[]string{"upgrade", "--resume", "--name", "nope"}, []string{"nope", "running: none"}},
		"workers sideways":         {[]string{"upgrade", "--to", "v1.36", "--workers", "sideways"}, []string{"rolling, all-at-once"}},
		"targets of nonsense":      {[]string{"versions", "--from", "latest"}, []string{"want vX.Y.Z"}},
		"targets of etcd":          {[]string{"versions", "--from", "v3.5.19"}, []string{"v3.5.19 is a release of etcd", "--strategy etcd"}},
		"fetch of the unknown":     {[]string{"fetch", "v1.35", "v9.9"}, []string{"v9.9", "known: v1.33.13"}},
		"fetch from nowhere":       {[]string{"fetch", "--from", "v9.9"}, []string{"v9.9", "known: v1.33.13"}},
		"import of nothing":        {[]string{"fetch", "--import", file + "-none"}, []string{"no such file"}},
		"import of no archive":     {[]string{"fetch", "--import", bad}, []string{"bad.yaml", "fetch --export"}},
		"import and fetch":         {[]string{"fetch", "--import", bad, "v1.35"}, []string{"--import"}},
		"unknown exhibit":          {[]string{"museum", "etcd-1"}, []string{`unknown exhibit "etcd-1"`, "known: etcd-", "or give a file"}},
		"museum, and no exhibit":   {[]string{"museum", "etcd-leader-crash"}, []string{"no exhibit", "museum/etcd-20340"}},
		"museum, beside others":    {[]string{"museum", "etcd-20340", "--out", filepath.Dir(file)}, []string{"--out " + filepath.Dir(file), "holds something already", "new directory"}},
		"fewer than no times":      {[]string{"museum", "--times", "-1"}, []string{"--times is -1"}},
		"fixed, and no exhibit":    {[]string{"run", "etcd-leader-crash", "--fixed"}, []string{"no exhibit", "museum/etcd-20340"}},
		"quorum loss nobody asked": {[]string{"plan", quorumLoss(t)}, []string{"expect: quorumLost"}},
	} {
		t.Run(name, func(t *testing.T) {
			state := filepath.Join(t.TempDir(), "state")
			args := c.args
			if !strings.Contains(strings.Join(args, " "), "--state-dir") && args[0] != "kubectl" {
				args = append(args, "--state-dir", state)
			}
			if strings.Contains(name, "port") {
				args = append(args, "--cache-dir", cacheWithFakes(t))
			}
			code, said := command(t, args...)
			if code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			for _, w := range c.want {
				if !strings.Contains(said, w) {
					t.Errorf("%q lacks %q", said, w)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(state, "labs", "*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// cacheWithFakes has a file for every program, so that nothing is fetched before the mistake is found; each can say which etcd kubeadm has run.
func cacheWithFakes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for sub, names := range map[string][]string{
		"etcd/v3.6.16":       {"etcd", "etcdctl", "etcdutl"},
		"kubernetes/v1.35.4": {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubeadm", "kubectl"},
	} {
		for _, n := range names {
			path := filepath.Join(dir, "releases", sub, n)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("#!/bin/sh\necho registry.k8s.io/etcd:3.6.16-0\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func quorumLoss(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "loss.yaml")
	text := "apiVersion: drydock.dev/v1alpha1\nkind: Scenario\nmetadata: {name: x}\nspec:\n  cluster: {etcd: only}\n  steps:\n  - fault: {etcdMemberCrash: {target: majority}}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSystemctlNeedsAVerbAndAUnit(t *testing.T) {
	if code, err := systemctl(t.Context(), []string{"start"}, io.Discard); code == 0 || err == nil {
		t.Fatal("systemctl without a unit succeeded")
	}
}

// expiredAuthority is a certificate authority whose time is over, with its key, in one file.
func expiredAuthority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "old"}, NotBefore: from, NotAfter: from.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "old.pem")
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})...)
	if err := os.WriteFile(file, both, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
