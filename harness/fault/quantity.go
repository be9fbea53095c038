package fault

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Share is a part of a whole: 20%.
type Share float64

// String is the share in percent.
func (s Share) String() string {
	return strconv.FormatFloat(math.Round(float64(s)*1000)/10, 'f', -1, 64) + "%"
}

// MarshalText writes it as a scenario has it.
func (s Share) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatFloat(float64(s)*100, 'f', -1, 64) + "%"), nil
}

// UnmarshalText reads it.
func (s *Share) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !percent || f < 0 || f > 100 || math.IsNaN(f) {
		return fmt.Errorf("%q is no share; one is 20%%", text)
	}
	*s = Share(f / 100)
	return nil
}

// Rate is bits a second, written as tc(8) does: 500kbit, 10mbit.
type Rate int64

// String is the rate in the largest unit that leaves something before the point.
func (r Rate) String() string {
	for _, u := range rates() {
		if float64(r) >= u.bits {
			return strconv.FormatFloat(math.Round(float64(r)/u.bits*100)/100, 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatInt(int64(r), 10) + "bit"
}

// MarshalText writes it as a scenario has it.
func (r Rate) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatInt(int64(r), 10) + "bit"), nil
}

// UnmarshalText reads it.
func (r *Rate) UnmarshalText(text []byte) error {
	for _, u := range append(rates(), unit{"bit", 1}) {
		if number, ok := strings.CutSuffix(strings.TrimSpace(string(text)), u.name); ok {
			if f, err := strconv.ParseFloat(number, 64); err == nil && f >= 0 && f*u.bits <= math.MaxInt32*1e3 {
				*r = Rate(f * u.bits)
				return nil
			}
			break
		}
	}
	return fmt.Errorf("%q is no rate; one is 10mbit or 500kbit", text)
}

type unit struct {
	name string
	bits float64
}

func rates() []unit { return []unit{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}} }
