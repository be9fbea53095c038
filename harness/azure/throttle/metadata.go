package throttle

// Metadata draws a call of a machine on the metadata service, for a token or for anything else. done is called when it is answered; ok is false where it is
// one too many, and over says of what.
func (t *Meters) Metadata(machine string, token bool) (done func(), over string, ok bool) {
	p := t.policy.Metadata
	if p == nil {
		return func() {}, "", true
	}
	limit, policy := p.Instance, "imds/instance"
	if token {
		limit, policy = p.Token, "imds/token"
		t.mu.Lock()
		if t.asking[machine] >= p.AtATime && p.AtATime > 0 {
			t.mu.Unlock()
			return nil, policy + " at a time", false
		}
		t.asking[machine]++
		t.mu.Unlock()
	}
	done = func() {
		if !token {
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.asking[machine]--; t.asking[machine] == 0 {
			delete(t.asking, machine)
		}
	}
	if _, rejected := t.draw(Subject{}, []draw{{key: meterKey{policy: policy, scope: "machine", subject: machine}, limit: limit, scope: "machine", policy: policy}}, none); rejected != nil {
		done()
		return nil, policy, false
	}
	return done, "", true
}
