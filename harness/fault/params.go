package fault

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Params are what faults can be given beside a target and a duration. A kind says which of them it Takes; what is not given is zero.
type Params struct {
	Apart   time.Duration `json:"apart,omitempty"   yaml:"apart"`   // between two of its machines; 0: all at once
	From    []string      `json:"from,omitempty"    yaml:"from"`    // across from its machines; empty: all others
	Way     cluster.Way   `json:"way,omitempty"     yaml:"way"`     // of what is lost between them; empty: both
	Delay   time.Duration `json:"delay,omitempty"   yaml:"delay"`   // by which something takes longer; 0: as the kind has it
	Version string        `json:"version,omitempty" yaml:"version"` // of the program, for faults in a version's programs
	Service string        `json:"service,omitempty" yaml:"service"` // what it is done to, of what runs on its machines
	Loss    Share         `json:"loss,omitempty"    yaml:"loss"`    // of packets, each by chance
	Jitter  time.Duration `json:"jitter,omitempty"  yaml:"jitter"`  // by which the delay of each may be more or less
	Rate    Rate          `json:"rate,omitempty"    yaml:"rate"`    // of what gets through
	Ring    bool          `json:"ring,omitempty"    yaml:"ring"`    // each of its machines reaches its neighbours only
	Stays   bool          `json:"stays,omitempty"   yaml:"stays"`   // a machine stays down that would else come back by itself
	By      time.Duration `json:"by,omitempty"      yaml:"by"`      // by which a clock is ahead; less than 0: behind
	ARM     ARM           `json:"arm,omitzero"      yaml:",inline"` // of a fault of the twin
}

// given are the names of those that are not zero.
func (p Params) given() []string {
	var set map[string]any
	raw, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(raw, &set)
	}
	if err != nil {
		return []string{err.Error()} // which no kind takes
	}
	if ofTwin, ok := set["arm"].(map[string]any); ok {
		delete(set, "arm")
		maps.Copy(set, ofTwin)
	}
	return slices.Sorted(maps.Keys(set))
}

// Check refuses what the kind has no use for, which whoever wrote it takes for a part of the fault, and values that nothing can be done by.
func (k Kind) Check(p Params) error {
	for _, name := range p.given() {
		if !slices.Contains(k.Takes, name) {
			known := "nothing beside target and for"
			if len(k.Takes) > 0 {
				known = strings.Join(k.Takes, ", ")
			}
			return fmt.Errorf("%s takes no %s; it takes %s", k.Name, name, known)
		}
	}
	if p.Apart < 0 {
		return fmt.Errorf("%s: apart is %s; it cannot be negative", k.Name, p.Apart)
	}
	if k.Valid != nil {
		if err := k.Valid(p); err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return nil
}
