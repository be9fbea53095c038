package cluster

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Size is a number of bytes, written as Kubernetes writes quantities: 256Mi.
type Size int64

// String is the shortest way to write it.
func (s Size) String() string { return resource.NewQuantity(int64(s), resource.BinarySI).String() }

// Set reads it from the command line.
func (s *Size) Set(text string) error {
	q, err := resource.ParseQuantity(text)
	if err != nil || text[0] < '0' || text[0] > '9' { // a sign, or nothing but a unit
		return fmt.Errorf("%q is no size; a size is 256Mi, 1Gi or a number of bytes", text)
	}
	*s = Size(q.Value())
	return nil
}

// Type is what help calls it.
func (*Size) Type() string { return "size" }

// MarshalText writes it to YAML and JSON.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads it from there.
func (s *Size) UnmarshalText(text []byte) error { return s.Set(string(text)) }
