package certificate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/plan"
)

// Verified is what became of looking at a certificate and the directory it is in. What it says of the run it says only where Outcome is pass.
type Verified struct {
	Outcome   plan.Verdict `json:"outcome"`  // fail: something was changed; inconclusive: nothing was, and nobody vouches for it
	Changed   []string     `json:"changed"`  // what is not as it was certified
	Unproven  []string     `json:"unproven"` // what keeps it from being a pass although nothing was changed
	Notes     []string     `json:"notes"`
	Signer    string       `json:"signer,omitempty"` // the fingerprint of its key; empty: not signed
	Trusted   bool         `json:"trusted"`          // by the keys that were given
	Verdict   plan.Verdict `json:"verdict,omitempty"`
	Scenario  string       `json:"scenario,omitempty"`
	JudgedBy  plan.Program `json:"judgedBy,omitzero"`
	Files     int          `json:"files"`
	NotTested int          `json:"notTested"`
}

// Verify compares a run's directory with its certificate, makes the certificate anew by judging the evidence, and looks whose signature it has. It writes
// nothing. The error is one of reading.
func Verify(dir string, reports []string, by plan.Program, judge func(dir string) (*plan.Result, error), keys []ssh.PublicKey) (_ *Verified, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	raw, err := root.ReadFile(Name)
	if err != nil {
		return nil, fmt.Errorf("verify: %s has no certificate (`drydock report %s` makes one of its evidence): %w", dir, dir, err)
	}
	v := &Verified{Outcome: plan.Pass, Changed: []string{}, Unproven: []string{}, Notes: []string{}}
	defer v.conclude()
	if err := v.signature(root, raw, keys); err != nil {
		return nil, err
	}
	c, bad := Decode(raw)
	if bad != nil {
		v.Changed = append(v.Changed, bad.Error())
		return v, nil
	}
	v.Verdict, v.Scenario, v.JudgedBy, v.Files, v.NotTested = c.Verdict, c.Scenario, c.JudgedBy, len(c.Evidence)+len(c.Reports), len(c.NotTested)
	evidence, made, err := Gather(root, reports)
	if err != nil {
		return nil, err
	}
	v.Changed = append(v.Changed, differences(slices.Concat(c.Evidence, c.Reports), slices.Concat(evidence, made))...)
	if sealed, err := c.Sealed(c.Reports); err != nil || sealed.Seal != c.Seal {
		v.Changed = append(v.Changed, Name+" was changed: its seal is not that of what it says")
	}
	v.again(c, func() (*Certificate, error) {
		r, err := judge(dir)
		if err != nil {
			return nil, err
		}
		return Of(r, by, evidence).Sealed(made)
	})
	return v, v.others(root)
}

// conclude makes the outcome.
func (v *Verified) conclude() {
	switch {
	case len(v.Changed) > 0:
		v.Outcome = plan.Fail
	case len(v.Unproven) > 0:
		v.Outcome = plan.Unknown
	}
}

// signature looks whose it is. That there is none, or that of somebody unknown, changes nothing and proves nothing.
func (v *Verified) signature(root *os.Root, raw []byte, keys []ssh.PublicKey) error {
	armoured, err := root.ReadFile(SignatureName)
	if errors.Is(err, fs.ErrNotExist) {
		v.Unproven = append(v.Unproven, "it is not signed: whoever could change the evidence could make this certificate of it")
		return nil
	}
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	key, err := Signer(armoured, raw)
	if err != nil {
		v.Changed = append(v.Changed, fmt.Sprintf("%s: %v", SignatureName, err))
		return nil
	}
	v.Signer = ssh.FingerprintSHA256(key)
	v.Trusted = slices.ContainsFunc(keys, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) })
	switch {
	case v.Trusted:
	case len(keys) == 0:
		v.Unproven = append(v.Unproven, "it is signed by "+v.Signer+", and nobody has said whose key that is: give the public key that you trust, --key FILE.pub")
	default:
		v.Unproven = append(v.Unproven, "it is signed by "+v.Signer+", which is none of the keys that you trust")
	}
	return nil
}

// again holds the certificate to one that is made anew.
func (v *Verified) again(c *Certificate, judge func() (*Certificate, error)) {
	now, err := judge()
	if err != nil {
		v.Changed = append(v.Changed, fmt.Sprintf("its evidence cannot be judged: %v", err))
		return
	}
	differ := fields(c, now)
	if c.JudgedBy == now.JudgedBy {
		for _, f := range differ {
			if !slices.Contains([]string{"evidence", "reports", "seal"}, f) { // the files are told of one by one
				v.Changed = append(v.Changed, fmt.Sprintf("%s: %s does not follow from the evidence", Name, f))
			}
		}
		return
	}
	differ = slices.DeleteFunc(differ, func(f string) bool { return slices.Contains([]string{"evidence", "reports", "seal", "judgedBy"}, f) })
	if len(differ) == 0 {
		v.Notes = append(v.Notes, "it was judged by another build of Drydock ("+c.JudgedBy.String()+"), and this one comes to the same")
		return
	}
	v.Unproven = append(v.Unproven, fmt.Sprintf("it was judged by another build of Drydock (%s), and this one judges otherwise: %s, verdict %s and then %s; that build can tell", c.JudgedBy,
		strings.Join(differ, ", "), now.Verdict, c.Verdict))
}

// fields are the names of those in which two certificates differ.
func fields(a, b *Certificate) []string {
	flat := func(c *Certificate) map[string]json.RawMessage {
		out := map[string]json.RawMessage{}
		raw, err := json.Marshal(c)
		if err != nil || json.Unmarshal(raw, &out) != nil {
			return nil // a value of ours is always written
		}
		return out
	}
	x, y := flat(a), flat(b)
	var out []string
	for _, f := range slices.Sorted(maps.Keys(x)) {
		if !bytes.Equal(x[f], y[f]) {
			out = append(out, f)
		}
	}
	return out
}

// others names the runs that were moved aside in the same directory.
func (v *Verified) others(root *os.Root) error {
	all, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	for _, d := range all {
		if d.IsDir() && earlier(d.Name()) {
			v.Notes = append(v.Notes, d.Name()+" is an earlier run with a certificate of its own, and was not looked at")
		}
	}
	return nil
}
