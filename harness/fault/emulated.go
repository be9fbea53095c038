package fault

import "drydock.dev/drydock/harness/cluster"

// emulated says of the machines what really happens instead of what the fault is called. e is nil in tests.
func emulated(e *Env, kind string, machines []string) ([]string, error) {
	k, err := Find(kind)
	if err != nil || e == nil || e.Cluster == nil {
		return nil, err
	}
	ms, err := machinesOf(e, machines)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range ms {
		em, ok := m.(cluster.Emulator)
		if !ok {
			continue
		}
		for _, c := range k.Needs {
			if how := em.Emulates()[c]; how != "" {
				out = append(out, m.Name()+": "+how)
			}
		}
	}
	return out, nil
}
