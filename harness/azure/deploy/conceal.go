package deploy

import (
	"encoding/json"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// shortestSecret is how long a secure value is at least that is looked for in errors: shorter ones stand in many words.
const shortestSecret = 4

// confidential are the texts in the values of what is declared secure, here and in the deployments around this one, whose templates may be evaluated there.
func (d *deployment) confidential() []string {
	out := d.around
	if d.scope == nil {
		return out
	}
	var find func(v any)
	find = func(v any) {
		switch x := v.(type) {
		case string:
			if len(x) >= shortestSecret {
				out = append(out[:len(out):len(out)], x)
			}
		case []any:
			for _, e := range x {
				find(e)
			}
		case map[string]any:
			for _, e := range x {
				find(e)
			}
		}
	}
	for name, v := range d.scope.Parameters {
		if declared, _ := d.tpl.Parameters[name].(map[string]any); d.tpl.Secure(declared) {
			find(v)
		}
	}
	return out
}

// conceal takes secure values out of an error: messages quote what they could not read, and are kept with the deployment, told with its operations and saved.
// Whether Azure does so is not known.
func (d *deployment) conceal(e *arm.Error) *arm.Error {
	if e == nil {
		return nil
	}
	var pairs []string
	for _, s := range d.confidential() {
		pairs = append(pairs, s, "***")
		if quoted, err := json.Marshal(s); err == nil && string(quoted) != `"`+s+`"` {
			pairs = append(pairs, strings.Trim(string(quoted), `"`), "***")
		}
	}
	if len(pairs) == 0 {
		return e
	}
	out := concealed(*e, strings.NewReplacer(pairs...))
	return &out
}

func concealed(e arm.Error, hide *strings.Replacer) arm.Error {
	e.Message, e.Target = hide.Replace(e.Message), hide.Replace(e.Target)
	details := make([]arm.Error, 0, len(e.Details))
	for _, d := range e.Details {
		details = append(details, concealed(d, hide))
	}
	if e.Details = nil; len(details) > 0 {
		e.Details = details
	}
	return e
}
