package fault

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// witnessLabel is of all witnesses.
const witnessLabel = "drydock.dev/witness"

// witness is a pod by which something is seen: a process that does nothing. Its image is the workload's by a tag that no other pod has, so that it is
// nowhere until it is pulled.
func witness(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{witnessLabel: "true"}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: ptr.To(false), TerminationGracePeriodSeconds: ptr.To[int64](1), RestartPolicy: corev1.RestartPolicyNever,
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers:  []corev1.Container{{Name: "witness", Image: fmt.Sprintf("drydock/workload:witness-%d", time.Now().UnixNano()), ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"pause"}}},
		},
	}
}
