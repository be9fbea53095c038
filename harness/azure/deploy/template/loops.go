package template

import "strings"

// isLoop tells a copy of properties from a property of that name.
func isLoop(list []any) bool {
	for _, l := range list {
		m, ok := l.(map[string]any)
		if _, input := m["input"]; !ok || !input || m["count"] == nil {
			return false
		}
	}
	return len(list) > 0
}

// loop unrolls a copy of properties or of variables. Its turn is told by its name only: without one copyIndex means the resource's own loop.
func (s *Scope) loop(m map[string]any) (string, []any, error) {
	name, _ := m["name"].(string)
	n, err := s.Count(m["count"])
	if err != nil {
		return "", nil, err
	}
	list := make([]any, 0, n)
	for i := range n {
		turn := s.Loop(name, i)
		turn.copies[len(turn.copies)-1].named = true
		e, err := turn.Eval(m["input"])
		if err != nil {
			return "", nil, err
		}
		list = append(list, e)
	}
	return name, list, nil
}

// MaxCopies is how often a loop may turn (learn.microsoft.com "Resource iteration in ARM templates").
const MaxCopies = 800

// Count evaluates how often a loop turns. The count may need nothing that is deployed: it is known before.
func (s *Scope) Count(v any) (int, error) {
	early := *s
	early.Reference, early.References, early.List = nil, nil, nil
	e, err := early.Eval(v)
	if err != nil {
		return 0, err
	}
	n, ok := whole(e)
	if !ok || n < 0 || n > MaxCopies {
		return 0, errorf("The template 'copy' definition %s has an invalid copy count. The copy count must be a positive integer value and cannot exceed '%d'. Please see https://aka.ms/arm-copy for usage details.", s.At, MaxCopies)
	}
	return int(n), nil
}

func copyIndex(s *Scope, a []any) (any, error) {
	var loop *copied
	offset := int64(0)
	for i := range s.copies {
		if !s.copies[i].named {
			loop = &s.copies[i]
		}
	}
	for i, x := range a {
		if name, ok := x.(string); ok && i == 0 {
			loop = nil
			for j := range s.copies {
				if strings.EqualFold(s.copies[j].name, name) {
					loop = &s.copies[j]
				}
			}
			if loop == nil && len(s.copies) > 0 {
				return nil, errorf("The template function 'copyIndex' has an invalid argument. The provided copy name '%s' doesn't exist in the resource. Please see https://aka.ms/arm-copy for usage details.", name)
			}
			continue
		}
		n, ok := whole(x)
		if !ok {
			return nil, wrong("copyIndex", "a whole number", x)
		}
		offset = n
	}
	if loop == nil {
		return nil, errorf("The template function 'copyIndex' is not expected at this location. The function can only be used in a resource with copy specified. Please see https://aka.ms/arm-copy for usage details.")
	}
	return int64(loop.at) + offset, nil
}
