package debian

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestConfiguredIsAptsMirrorOfTheSuite(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"a stanza":       {"sources.list.d/debian.sources", "# a comment\nTypes: deb\nURIs: http://mirror.test/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\nURIs: http://security.test\nSuites: bookworm-security\nComponents: main\n", "http://mirror.test/debian"},
		"a line":         {"sources.list", "deb-src http://source.test bookworm main\ndeb [signed-by=/a arch=amd64] http://mirror.test/debian bookworm main contrib\n", "http://mirror.test/debian"},
		"another suite":  {"sources.list", "deb http://mirror.test/ubuntu noble main\n", anyMirror},
		"nothing at all": {"other", "", anyMirror},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			file := filepath.Join(root, "etc/apt", c.file)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := configured(root, "bookworm"); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

const packagesText = `Package: qemu
Version: 1:7.2
Depends: libc6 (>= 2.36), libold | libnew, perl:any, libvirtual (= 3)
Pre-Depends: libpre
Filename: pool/qemu.deb
SHA256: aa

Package: libc6
Version: 2
Filename: pool/libc6.deb
SHA256: bb

Package: libold
Provides: libvirtual (= 3), libc6

Package: libpre
Depends: libc6

Package: libc6
Version: 1
`

func TestClosureFollowsWhatItIsToldTo(t *testing.T) {
	packages, err := parsePackages(strings.NewReader(packagesText))
	if err != nil {
		t.Fatal(err)
	}
	x := &Index{source: Source{Mirror: "http://mirror.test"}, packages: packages}
	all, err := x.Closure("qemu", func(name string) bool { return strings.HasPrefix(name, "lib") })
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range all {
		names = append(names, p.Name+" "+p.Version)
	}
	if want := []string{"qemu 1:7.2", "libc6 2", "libold ", "libpre "}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if _, err := x.Closure("qemu", func(string) bool { return true }); err == nil || !strings.Contains(err.Error(), "has no package perl") {
		t.Errorf("error %v", err)
	}
}

func TestSumOfIsOfTheFileAndTheAlgorithm(t *testing.T) {
	release := "Suite: stable\nMD5Sum:\n 11 1 main/Packages.gz\nSHA256:\n 22 1 main/other\n 33 1 main/Packages.gz\nSHA512:\n 44 1 main/late\n"
	if got, err := sumOf([]byte(release), "main/Packages.gz"); err != nil || got != "33" {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{release, "MD5Sum:\n 11 1 main/late\n"} {
		if got, err := sumOf([]byte(text), "main/late"); err == nil {
			t.Errorf("%q is of another algorithm", got)
		}
	}
}

func TestGetTakesNothingThatWasChanged(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/there" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("abc"))
	}))
	defer s.Close()
	const sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of "abc" (FIPS 180-2, appendix B.1)
	if raw, err := get(t.Context(), s.URL+"/there", sum); err != nil || string(raw) != "abc" {
		t.Errorf("%q, %v", raw, err)
	}
	if _, err := get(t.Context(), s.URL+"/there", strings.Repeat("0", len(sum))); err == nil || !strings.Contains(err.Error(), "its SHA-256 is "+sum) {
		t.Errorf("error %v", err)
	}
	if _, err := get(t.Context(), s.URL+"/gone", ""); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v", err)
	}
}

func TestVerifyRefusesWhatIsNotSigned(t *testing.T) {
	keyring := filepath.Join(t.TempDir(), "keys.gpg")
	if _, err := verify(context.Background(), []byte("Suite: stable\n"), keyring); err == nil || !strings.Contains(err.Error(), "--keyring") {
		t.Errorf("error %v, want what to do", err)
	}
	if err := os.WriteFile(keyring, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := verify(context.Background(), []byte("Suite: stable\n"), keyring); err == nil {
		t.Errorf("%q was taken for signed", out)
	}
}
