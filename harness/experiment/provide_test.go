package experiment

import (
	"context"
	"slices"
	"testing"
)

// storekeeper is a provider that notes what it is to get.
type storekeeper struct {
	paper
	got *[]string
}

func (s storekeeper) Provide(_ context.Context, product, version string) error {
	*s.got = append(*s.got, product+" "+version)
	return nil
}

// TestNoRunWaitsForPrograms: those that a cluster begins with and those that it is taken to are had before it, on either release of an exhibit.
func TestNoRunWaitsForPrograms(t *testing.T) {
	for name, want := range map[string][]string{
		"museum/etcd-21640":        {"etcd v3.6.10", "etcd v3.6.11"},
		"museum/etcd-19557":        {"etcd v3.5.19", "etcd v3.5.20", "etcd v3.6.4", "etcd v3.6.4"},
		"museum/kubernetes-134773": {"etcd v3.6.16", "etcd v3.6.16", "kubernetes v1.33.13", "kubernetes v1.33.13", "kubernetes v1.34.1", "kubernetes v1.34.4"},
		"arm-throttled-provider":   nil, // on the twin alone
	} {
		s, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		sides := []*Scenario{s}
		if want != nil {
			fixed, err := s.Fixed()
			if err != nil {
				t.Fatal(err)
			}
			sides = append(sides, fixed)
		}
		var got []string
		for _, side := range sides {
			if err := side.Provide(t.Context(), Options{Seed: 1, Provider: storekeeper{got: &got}}); err != nil {
				t.Fatal(err)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
