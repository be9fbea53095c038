package remedy

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

func TestSpaceIsMadeOnlyWhereTheOthersAreAQuorum(t *testing.T) {
	full := func(members []etcd.Member) []etcd.Member {
		for i := range members {
			if members[i].Error == "" {
				members[i].Alarms = []string{"memberID:1 alarm:NOSPACE "}
			}
		}
		return members
	}
	_, three := listed("a", "b", "c")
	_, one := listed("a")
	_, five := listed("a", "b", "c", "d", "e")
	leaderless := full(append([]etcd.Member{}, three...))
	leaderless[1].Leader = 0
	for name, c := range map[string]struct {
		members []etcd.Member
		says    string
	}{
		"all there":      {full(append([]etcd.Member{}, three...)), ""},
		"one is silent":  {full(silent(append([]etcd.Member{}, three...), 2)), "1 of 3 members are left that are well; a quorum is 2"},
		"one of five":    {full(silent(append([]etcd.Member{}, five...), 2)), "no answer from the member on c"},
		"one follows no": {leaderless, "1 of 3 members are left"},
		"the only one":   {full(one), ""},
	} {
		alarm, stands := projectSpace(c.members)
		err := plan.Refusal("it", stands)
		if alarm == "" || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %v; want %q", name, alarm, err, c.says)
		}
	}
	_, well := listed("a", "b", "c")
	if alarm, stands := projectSpace(well); alarm != "" || len(stands) != 0 {
		t.Errorf("well: %q, %v", alarm, stands)
	}
}
