package experiment

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/azuretest"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/standin"
	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject/aksengine"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// deployedOnPaper is a cluster of which there is a topology and nothing else: what documents are made from.
type deployedOnPaper struct {
	cluster.Cluster
	topology cluster.Topology
}

func (p deployedOnPaper) Topology() cluster.Topology { return p.topology }

func (p deployedOnPaper) Machines() (out []cluster.Machine) {
	for i, s := range p.topology.Machines() {
		out = append(out, machineOnPaper{spec: s, number: byte(i)})
	}
	return out
}

type machineOnPaper struct {
	cluster.Machine
	spec   cluster.MachineSpec
	number byte
}

func (m machineOnPaper) Name() string       { return m.spec.Name }
func (m machineOnPaper) Role() cluster.Role { return m.spec.Role }
func (m machineOnPaper) Addr() netip.Addr   { return netip.AddrFrom4([4]byte{10, 1, 0, 10 + m.number}) }

// unconnected serves a client from a handler, in a bubble in which no connection may wait.
type unconnected struct{ http.Handler }

func (u unconnected) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	called := req.Clone(req.Context())
	if called.Body == nil {
		called.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	u.ServeHTTP(w, called)
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

// inBubble is the strategy in a bubble: its clients have no connections.
type inBubble struct {
	t     *testing.T
	twin  *azuretest.Direct
	place aksengine.Place
}

// GetToken is a credential's.
func (b inBubble) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := b.twin.Token(ctx, "drydock-replace")
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, err
}

func (b inBubble) upgrader() *replacer {
	b.t.Helper()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: "http://stand-in", Transport: unconnected{b.place.Cluster}, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		b.t.Fatal(err)
	}
	m, err := manager.New(manager.Options{
		Endpoint: b.twin.URL, Authority: "https://login.microsoftonline.com", Subscription: b.twin.Subscription, Group: aksengine.Group, Credential: b, Transport: b.twin,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return &replacer{place: b.place, client: client, manager: m}
}

// scene is the cluster of a story, deployed on paper: with what AKS Engine calls its machines and their disks.
func scene(t *testing.T, s *aksengine.Story) (aksengine.Scene, *replacer) {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "drydock") // hundreds of journals are synced
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := standin.New(standin.Options{Grace: 40 * time.Second, Provisioning: time.Minute})
	clock, err := arm.ParseClock(s.Clock)
	if err != nil {
		t.Fatal(err)
	}
	b := inBubble{t: t, place: aksengine.Place{Model: aksengine.Model{Version: s.From, Masters: s.Masters, Agents: s.Agents, Pool: s.Pool}, Cluster: c, Dir: dir}}
	b.twin = azuretest.NewDirect(t, azure.Options{Machines: c, Clock: clock})
	topology := (&replacer{place: b.place}).topology()
	state, err := (&workers.Pool{Cluster: deployedOnPaper{topology: topology}}).State(b.twin.Subscription)
	if err != nil {
		t.Fatal(err)
	}
	nics := regexp.MustCompile(`-(\d)` + workers.InterfaceSuffix) // as AKS Engine calls them: behind the role
	for i, raw := range state.Resources {
		text := nics.ReplaceAllString(string(raw), workers.InterfaceSuffix+"-$1")
		state.Resources[i] = []byte(strings.NewReplacer(workers.SystemSuffix+`"`, `_OsDisk_1"`, `"`+string(cluster.ControlPlane)+`"`, `"`+provider.MasterPool+`"`).Replace(text))
	}
	if err := b.twin.Load(state); err != nil {
		t.Fatal(err)
	}
	for _, m := range topology.Machines() {
		if err := c.Create(t.Context(), provider.Machine{Name: m.Name, Tags: map[string]string{provider.VersionTag: provider.VersionTagged(s.From), provider.PoolTag: string(m.Role)}}); err != nil {
			t.Fatal(err)
		}
	}
	return aksengine.Scene{Twin: b.twin.Twin, Cluster: c}, b.upgrader()
}

// cellsOfReplace are those of a scenario in which our own strategy upgrades.
func cellsOfReplace(t *testing.T, name string) (*aksengine.Story, []aksengine.Cell) {
	t.Helper()
	s, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	story := s.Spec.AKSEngine
	cells := slices.DeleteFunc(story.All(), func(c aksengine.Cell) bool { return c.Strategy != aksengine.ByReplace })
	if len(cells) == 0 {
		t.Fatalf("%s has no cell of %s", name, aksengine.ByReplace)
	}
	return story, cells
}

// tell plays a cell and judges it as a run is judged.
func tell(t *testing.T, story *aksengine.Story, c aksengine.Cell, null bool) (told aksengine.Told, verdict string, red []plan.Check) {
	t.Helper()
	in, by := scene(t, story)
	told, err := (&aksengine.Run{Story: story, NullFaults: null}).Cell(t.Context(), in, by, c)
	if err != nil {
		t.Fatal(err)
	}
	one := *story
	one.Throttled, one.Cells = nil, []aksengine.Cell{c}
	var res plan.Result
	(&aksengine.Evidence{Story: &one, Cells: []aksengine.Told{told}}).Report(&res)
	for _, k := range res.Checks {
		if k.Verdict != plan.Pass {
			red = append(red, k)
		}
	}
	cells := res.Tables[len(res.Tables)-1]
	return told, cells.Rows[0][slices.Index(cells.Columns, "verdict")], red
}

// TestReplaceInEveryCell plays the cells of aks-engine-upgrade-faulted with our own strategy in virtual time: each ends with the cluster upgraded, or with a stop
// that says what to do; never below a quorum by its own doing, and never with a success that is none.
func TestReplaceInEveryCell(t *testing.T) {
	story, cells := cellsOfReplace(t, "aks-engine-upgrade-faulted")
	for i, c := range cells {
		throttled := c.Fault != nil && c.Fault.For > 0
		if testing.Short() && throttled && i%7 != 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				told, verdict, red := tell(t, story, c, false)
				for _, k := range red {
					t.Errorf("%s: %s: %s", k.Verdict, k.Name, k.Message)
				}
				want := string(plan.Go)
				if c.Lost != nil { // a machine without power that nobody has deleted is nobody's to make anew
					want = "stopped safely"
				}
				if !strings.EqualFold(verdict, want) {
					t.Errorf("it ended %s, want %s", verdict, want)
				}
				if first := told.Commands[0]; throttled && c.Fault.For < 2*time.Minute && first.Code != 0 {
					t.Errorf("it did not wait for %s: %s", c.Fault.For, first.Said)
				}
			})
		})
	}
}

// TestReplaceInACellInWhichNothingWentWrong: of what was not injected nothing is shown.
func TestReplaceInACellInWhichNothingWentWrong(t *testing.T) {
	story, cells := cellsOfReplace(t, "aks-engine-upgrade-faulted")
	cells = slices.DeleteFunc(cells, func(c aksengine.Cell) bool { return c.DeadKubelet == nil && c.Lost == nil })
	synctest.Test(t, func(t *testing.T) {
		_, verdict, red := tell(t, story, cells[0], true)
		if len(red) != 1 || red[0].Name != "faultBit" || !strings.EqualFold(verdict, string(plan.Inconclusive)) {
			t.Errorf("%s: %+v", verdict, red)
		}
	})
}
