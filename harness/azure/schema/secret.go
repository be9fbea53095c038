package schema

import (
	"slices"
	"strings"
	"sync"

	"drydock.dev/drydock/harness/azure/arm"
)

// secret reports whether a property is written and never read. That those of machines are the SDK does not say; it is what their GET leaves out
// (learn.microsoft.com "Custom data and cloud-init", "Custom Script Extension": protectedSettings; Azure/azure-powershell#1177: additionalUnattendContent). Of a
// vault's secret armkeyvault says it: "'value' will never be returned from the service".
func secret(m *Model, name string) bool {
	switch name {
	case "adminPassword", "customData", "protectedSettings", "runAsPassword", "protectedParameters":
		return true
	case "content":
		return m.Name == "AdditionalUnattendContent"
	case "value":
		return strings.HasPrefix(m.Name, "Secret")
	}
	return false
}

// Secrets are the paths of what is written and never read, with "[]" after what is a list.
func (m *Model) Secrets() []string {
	if m == nil {
		return nil
	}
	return m.secrets()
}

// secretsOf looks for them, once a model.
func secretsOf(m *Model) func() []string {
	return sync.OnceValue(func() []string {
		var out []string
		m.descend("", nil, func(path string) { out = append(out, path) })
		slices.Sort(out)
		return out
	})
}

func (m *Model) descend(path string, above []*Model, found func(path string)) {
	if slices.Contains(above, m) || !m.leads(map[*Model]bool{}) {
		return
	}
	above = append(above, m)
	for _, n := range m.names {
		f := m.fields[n]
		switch {
		case f.readOnly:
		case secret(m, n):
			found(path + n)
		case f.shape.model != nil && f.shape.around == "":
			f.shape.model().descend(path+n+".", above, found)
		case f.shape.model != nil && f.shape.around == "[":
			f.shape.model().descend(path+n+"[].", above, found)
		}
	}
}

// leads reports whether there is one in a model or below it: networks' models lead to each other in circles, and to none.
func (m *Model) leads(seen map[*Model]bool) bool {
	if seen[m] {
		return false
	}
	seen[m] = true
	for _, n := range m.names {
		f := m.fields[n]
		if !f.readOnly && (secret(m, n) || f.shape.model != nil && f.shape.model().leads(seen)) {
			return true
		}
	}
	return false
}

// Forget takes away what is written and never read.
func (m *Model) Forget(body map[string]any) {
	for _, path := range m.Secrets() {
		forget(body, strings.Split(path, "."))
	}
}

func forget(body map[string]any, path []string) {
	name, every := strings.CutSuffix(path[0], "[]")
	if len(path) == 1 {
		delete(body, name)
		return
	}
	if every {
		for _, x := range arm.Objects(body, name) {
			forget(x, path[1:])
		}
		return
	}
	if within, ok := body[name].(map[string]any); ok {
		forget(within, path[1:])
	}
}
