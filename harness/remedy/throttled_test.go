package remedy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/remedy/quota"
)

func stacked(planes int) cluster.Topology {
	t := cluster.Topology{ControlPlanes: planes, Workers: 1, EtcdMembers: planes}
	t.Named = t.Machines()
	return t
}

// While kubelets are stopped nobody starts a member of etcd again: one more must be spared, or the runbook waits.
func TestKubeletsAreStoppedOnlyWhereEtcdCanSpareAMember(t *testing.T) {
	list3, three := listed("a", "b", "c")
	list5, five := listed("a", "b", "c", "d", "e")
	list1, one := listed("a")
	list2, two := listed("a", "b")
	list4, four := listed("a", "b", "c", "d")
	stranger := append([]etcd.Listed{}, list4...)
	stranger[3].Machine, stranger[3].Name = "", "elsewhere"
	learner := append([]etcd.Listed{}, list3...)
	learner[2].Learner = true
	impostor := append([]etcd.Member{}, three...)
	impostor[1].ID = 77
	of := func(l []etcd.Listed) etcd.Membership { return etcd.Membership{Members: l} }
	for name, c := range map[string]struct {
		list     etcd.Membership
		members  []etcd.Member
		severity plan.Severity
		says     string
	}{
		"three":                      {of(list3), three, plan.Warning, "3 of 3 members of etcd are well, a quorum is 2, and while the kubelets are stopped nobody starts one again that ends: one that does leaves 2"},
		"three, one away":            {of(list3), silent(append([]etcd.Member{}, three...), 1), plan.Blocker, "one that does leaves 1; not well: b"},
		"five, one away":             {of(list5), silent(append([]etcd.Member{}, five...), 1), plan.Warning, "leaves 3"},
		"the only one":               {of(list1), one, plan.Warning, "leaves 0"},
		"two":                        {of(list2), two, plan.Warning, "leaves 1"},
		"two, one away":              {of(list2), silent(append([]etcd.Member{}, two...), 0), plan.Blocker, "not well: a"},
		"a stranger on the list":     {of(stranger), four[:3], plan.Blocker, "3 of 4 members of etcd are well, a quorum is 3, and while the kubelets are stopped nobody starts one again that ends: one that does leaves 2; not well: elsewhere (member 4)"},
		"lost, and on the list":      {of(list4), four[:3], plan.Blocker, "not well: d (member 4)"},
		"by another id":              {of(list3), impostor, plan.Blocker, "2 of 3 members of etcd are well, a quorum is 2, and while the kubelets are stopped nobody starts one again that ends: one that does leaves 1; not well: b (member 2)"},
		"answers, and is not listed": {of(list2), three, plan.Warning, "2 of 2 members"},
		"a learner has no vote":      {of(learner), three, plan.Warning, "2 of 2 members"},
		"nobody is known of":         {etcd.Membership{}, nil, plan.Unread, "it is empty"},
		"nobody tells the list":      {etcd.Membership{Error: "no quorum"}, three, plan.Unread, "no quorum"},
	} {
		f := spare(c.list, c.members)
		if f.Severity != c.severity || !strings.Contains(f.What, c.says) {
			t.Errorf("%s: %s: %s", name, f.Severity, f.What)
		}
	}
}

func TestVersionsAreToBeNamed(t *testing.T) {
	images := map[string]string{"ccm": "v2"}
	for want, s := range map[string]Spec{
		"images is empty":                     {Runbook: "throttled-control-plane"},
		`image "a/ccm", version "v2"`:         {Runbook: "throttled-control-plane", Images: map[string]string{"a/ccm": "v2"}},
		`image "ccm", version ""`:             {Runbook: "throttled-control-plane", Images: map[string]string{"ccm": ""}},
		"longer than within":                  {Runbook: "throttled-control-plane", Images: images, Budget: quota.Settings{Unread: 3 * time.Hour}},
		"the runbook is about the whole":      {},
		"belong to a runbook that changes":    {Runbook: "etcd-nospace", Images: images},
		"images and budget belong to a runbo": {Runbook: "etcd-nospace", Budget: quota.Settings{Every: 1}},
	} {
		if s.Runbook == "" {
			s, want = Spec{Runbook: "throttled-control-plane", Images: images, Machine: "control-plane-1"}, "about the whole cluster"
		}
		if _, err := New(s, stacked(3)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if _, err := New(Spec{Runbook: "throttled-control-plane", Images: images}, cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}); err == nil || !strings.Contains(err.Error(), "the runbook is for Kubernetes") {
		t.Errorf("etcd alone: %v", err)
	}
}

// The order is the field's: kubelets first, so that nothing is started again; nothing is started before the budgets have refilled; and one at a time.
func TestNothingIsStartedBeforeTheBudgetsHaveRefilled(t *testing.T) {
	r, err := New(Spec{Runbook: "throttled-control-plane", Images: map[string]string{"ccm": "v2"}}, stacked(2))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range r.Steps() {
		got = append(got, strings.TrimPrefix(s.Name, "throttled-control-plane/"))
	}
	want := "diagnose stop-kubelet-control-plane-1 stop-kubelet-control-plane-2 scale-down stop-components-control-plane-1 stop-components-control-plane-2 edit-control-plane-1 edit-control-plane-2 " +
		"await-budget start-control-plane-1 verify-control-plane-1 start-control-plane-2 verify-control-plane-2 reload-addons verify-addons watch-budget gate"
	if strings.Join(got, " ") != want {
		t.Errorf("%s", strings.Join(got, " "))
	}
}

func TestOneThatWasBegunForOtherImagesIsNotGoneOnWith(t *testing.T) {
	r, err := New(Spec{Runbook: "throttled-control-plane", Images: map[string]string{"ccm": "v3"}}, stacked(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.GoOn(Begun{Spec: Spec{Images: map[string]string{"ccm": "v2"}}}); err == nil || !strings.Contains(err.Error(), "was begun for the images map[ccm:v2]") {
		t.Errorf("%v", err)
	}
}

// What is in the files is judged before anything is touched.
func TestFilesThatCannotBeChangedAreRefusedWithWhatToDo(t *testing.T) {
	pod, _, _ := strings.Cut(manyImages, "---")
	r, err := New(Spec{Runbook: "throttled-control-plane", Images: map[string]string{"ccm": "v2"}}, stacked(1))
	if err != nil {
		t.Fatal(err)
	}
	plane := func(manifest string) []controlPlane {
		p := controlPlane{machine: machineCalled("m"), manifests: []file{{"/etc/kubernetes/manifests/x.yaml", []byte(manifest)}}}
		p.components, _ = cloudComponents([]byte(manifest))
		return []controlPlane{p}
	}
	stands, shows := throttled{r}.projectEdits(plane(pod))
	if len(stands) != 0 || len(shows) != 1 || !strings.HasPrefix(shows[0], "m:/etc/kubernetes/manifests/x.yaml\n7c7\n< ") {
		t.Errorf("%v, %v", stands, shows)
	}
	for says, manifest := range map[string]string{
		"for that no version is named":        strings.ReplaceAll(pod, "/ccm", "/other"),
		"no file has an image that is called": strings.ReplaceAll(pod, "/ccm", "/other"),
		"is pinned by its digest":             strings.Replace(pod, "image: reg:5000/x/ccm:v1 #", "image: reg:5000/x/ccm@sha256:00 #", 1),
		"x.yaml on m: yaml: ":                 "a:\n  - b: [\n",
	} {
		stands, _ := throttled{r}.projectEdits(plane(manifest))
		if err := plan.Refusal("it", stands); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
}

// What is neither reloaded nor seen to run at its version is not changed in its file either: the runbook would say that it has mended it.
func TestAnAddonThatNobodyWouldReloadIsRefused(t *testing.T) {
	const (
		containers = "{metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: x/ccm:v1}]}}}"
		deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: " + containers + "\n"
		daemons    = "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: a}\nspec: {template: " + containers + "\n"
	)
	r, err := New(Spec{Runbook: "throttled-control-plane", Images: map[string]string{"ccm": "v2"}}, stacked(1))
	if err != nil {
		t.Fatal(err)
	}
	for addon, refused := range map[string]bool{
		deployment: false, daemons: true, deployment + daemons: true, strings.ReplaceAll(daemons, "ccm:v1", "ccm:v2"): false,
		strings.ReplaceAll(deployment, "containers", "initContainers"): true,
	} {
		p := controlPlane{machine: machineCalled("m"), addons: []file{{"/etc/kubernetes/addons/x.yaml", []byte(addon)}}}
		stands, _ := throttled{r}.projectEdits([]controlPlane{p})
		if err := plan.Refusal("it", stands); (err != nil) != refused || refused && !strings.Contains(err.Error(), "x.yaml on m has x/ccm:v1 for a container that is no Deployment's") {
			t.Errorf("%s%v", addon, err)
		}
	}
}

// onlyCalled is a machine that is only called something.
type onlyCalled struct {
	cluster.Machine
	name string
}

func machineCalled(name string) cluster.Machine { return onlyCalled{name: name} }

func (n onlyCalled) Name() string { return n.name }

// logsOf is a cluster whose machines only have a log.
type logsOf struct {
	cluster.Cluster
	lines map[string]string // by machine; one that is not there does not answer
}

func (c logsOf) Machine(name string) (cluster.Machine, error) {
	return logOf{onlyCalled{name: name}, c.lines}, nil
}

type logOf struct {
	onlyCalled
	lines map[string]string
}

func (l logOf) Exec(_ context.Context, c cluster.Command) (cluster.Result, error) {
	said, ok := l.lines[l.name]
	if !ok {
		return cluster.Result{}, errors.New("connection refused")
	}
	if !regexp.MustCompile(c.Args[len(c.Args)-1]).MatchString(said) {
		said = ""
	}
	return cluster.Result{Stdout: time.Now().Format(time.RFC3339Nano) + "\n" + said}, nil
}

func planesCalling(names ...string) (out []controlPlane) {
	for _, n := range names {
		out = append(out, controlPlane{machine: machineCalled(n), components: []cloudComponent{{Name: "ccm"}}})
	}
	return out
}

// A log that cannot be read is not one that tells of nothing.
func TestALogThatCannotBeReadIsSaidToBe(t *testing.T) {
	now := time.Now().Format(time.RFC3339Nano)
	c := logsOf{lines: map[string]string{"a": now + " stderr F well\n", "b": now + " stderr F StatusCode=429\n", "d": "-- No entries --\n"}}
	tells, unheard := throttled{&Remedy{Target: &observe.Target{Cluster: c}}}.throttledLines(t.Context(), planesCalling("a", "b", "c", "d"), time.Now().Add(-time.Minute))
	if len(tells) != 1 || !strings.HasPrefix(tells[0], "ccm on b tells of 1 calls") {
		t.Errorf("%v", tells)
	}
	if strings.Join(unheard, "; ") != "the log of ccm on c cannot be read: connection refused; the log of ccm on d cannot be read: it has no line with a time" {
		t.Errorf("%v", unheard)
	}
}

func TestThereIsNothingToDoOnlyWhereTheLogsSaySo(t *testing.T) {
	const budget = "Microsoft.Compute/HighCostGetVMScaleSet30Min" // 900
	well := quota.Reading{Status: http.StatusOK, Left: map[string]int{budget: 900}}
	low := quota.Reading{Status: http.StatusOK, Left: map[string]int{budget: 3}}
	stopped := quota.Reading{Status: http.StatusTooManyRequests, RetryAfter: time.Minute}
	none := quota.Reading{Error: "nobody can be asked"}
	tells, unheard := []string{"ccm tells"}, []string{"the log of ccm cannot be read"}
	for name, c := range map[string]struct {
		tells, unheard []string
		reading        quota.Reading
		nothing, blind bool
	}{
		"all is well": {nil, nil, well, true, false},
		"all logs are silent, nobody can be asked": {nil, nil, none, true, false},
		"neither can be read":                      {nil, unheard, none, false, true},
		"a log cannot be read, and a call passes":  {nil, unheard, well, false, true},
		"a log cannot be read, and none passes":    {nil, unheard, stopped, false, false},
		"a log tells, and another cannot be read":  {tells, unheard, none, false, false},
		"a log tells":          {tells, nil, well, false, false},
		"a budget is low":      {nil, nil, low, false, false},
		"a call does not pass": {nil, nil, stopped, false, false},
	} {
		nothing, blind := judgeThrottled(c.tells, c.unheard, c.reading)
		if (nothing != "") != c.nothing || (blind != nil) != c.blind {
			t.Errorf("%s: %q, %v", name, nothing, blind)
		}
		if blind != nil && (blind.Severity != plan.Unread || !strings.Contains(blind.What, "the log of ccm cannot be read; the cloud says: ")) {
			t.Errorf("%s: %v", name, blind)
		}
	}
}

func TestAWindowThatNobodySawIsNoPass(t *testing.T) {
	blind := fmt.Errorf("%w: cut", quota.ErrBlind)
	tells, unheard := []string{"ccm tells"}, []string{"the log of ccm cannot be read"}
	for name, c := range map[string]struct {
		err            error
		tells, unheard []string
		none           bool // of the components is left
		says           string
	}{
		"both were seen":                 {nil, nil, nil, false, ""},
		"the budgets were not":           {blind, nil, nil, false, ""},
		"the logs were not":              {nil, nil, unheard, false, ""},
		"neither was":                    {blind, nil, unheard, false, "is not known: not all could be read: cut; the log of ccm cannot be read"},
		"and there is no component":      {blind, nil, nil, true, "calls a cloud any more"},
		"a log tells, the budgets don't": {blind, tells, nil, false, "throttled: ccm tells"},
		"the budgets tell":               {fmt.Errorf("%w: 429", quota.ErrThrottled), nil, unheard, false, "throttled: 429"},
	} {
		err := watched(c.err, c.tells, c.unheard, !c.none)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}

// Where no component is found there is nobody to ask for a version, and that is no version.
func TestAComponentThatIsGoneIsNotVerified(t *testing.T) {
	r := throttled{&Remedy{found: &Diagnosis{Calls: callsOf(planesCalling("a", "b"))}}}
	if err := r.missing(planesCalling("a")[0]); err != nil {
		t.Error(err)
	}
	if err := r.missing(controlPlane{machine: machineCalled("a")}); err == nil || !strings.Contains(err.Error(), "a has no ccm among /etc/kubernetes/manifests") {
		t.Errorf("%v", err)
	}
	if err := r.missing(controlPlane{machine: machineCalled("c")}); err != nil { // it had none
		t.Error(err)
	}
}
