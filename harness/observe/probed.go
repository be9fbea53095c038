package observe

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
)

// Probed is what kubelets told of the probes of containers that failed, read once.
type Probed struct {
	Time     time.Time      `json:"time"`
	Failures []ProbeFailure `json:"failures,omitempty"`
	Error    string         `json:"error,omitempty"` // why it could not be read
}

// EventsLast is how long an API server keeps an event (--event-ttl).
const EventsLast = time.Hour

// EventsTold is how many events of one pod a kubelet tells in a row, of whatever kind: then it keeps quiet but for one every five minutes (defaultSpamBurst
// and defaultSpamQPS of k8s.io/client-go/tools/record).
const EventsTold = 25

// ProbeFailure is one kind of failure of a pod's probes. When it failed between the first time and the last nobody has written down.
type ProbeFailure struct {
	Pod   string    `json:"pod"` // NAMESPACE/NAME
	UID   string    `json:"uid"`
	Probe string    `json:"probe"` // Readiness, Liveness or Startup
	Said  string    `json:"said"`
	Times int       `json:"times"`
	First time.Time `json:"first"` // whole seconds, by the kubelet's clock
	Last  time.Time `json:"last"`
	// Combined: the failures before the last one were of any kind and in any words.
	Combined bool `json:"combined,omitempty"`
}

// combined is what the message of an event begins with that stands for many of one pod and one reason (EventAggregatorByReasonMessageFunc of
// k8s.io/client-go/tools/record).
const combined = "(combined from similar events): "

// unhealthy is the reason of a kubelet's event about a probe (events.ContainerUnhealthy of k8s.io/kubernetes).
const unhealthy = "Unhealthy"

// probedWithin is how long an API server may take to tell.
const probedWithin = 10 * time.Second

// ReadProbed reads the events about probes.
func ReadProbed(ctx context.Context, client kubernetes.Interface) *Probed {
	return readProbed(ctx, client, probedWithin)
}

func readProbed(ctx context.Context, client kubernetes.Interface, within time.Duration) *Probed {
	out := &Probed{Time: time.Now()}
	err := cluster.Await(ctx, "the events about probes", cluster.Wait{For: within}, func(ctx context.Context) error {
		list, err := client.CoreV1().Events("").List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("reason", unhealthy).String()})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if f, ok := failureOf(&list.Items[i]); ok {
				out.Failures = append(out.Failures, f)
			}
		}
		return nil
	})
	if err != nil {
		out.Error = fmt.Sprint("probes: ", err)
	}
	return out
}

// failureOf reads an event; kubelets begin its message with the kind of probe.
func failureOf(e *corev1.Event) (ProbeFailure, bool) {
	said, many := strings.CutPrefix(e.Message, combined)
	probe, _, told := strings.Cut(said, " probe ")
	if !told || e.InvolvedObject.Kind != "Pod" {
		return ProbeFailure{}, false
	}
	out := ProbeFailure{
		Pod: e.InvolvedObject.Namespace + "/" + e.InvolvedObject.Name, UID: string(e.InvolvedObject.UID), Probe: probe, Said: strings.TrimSpace(said),
		Times: int(e.Count), First: e.FirstTimestamp.Time, Last: e.LastTimestamp.Time, Combined: many,
	}
	return out, true
}
