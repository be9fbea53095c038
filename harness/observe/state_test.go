package observe

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAMachinesStateIsRead(t *testing.T) {
	st := parseState("/proc/uptime:1000.50 900.00\n" +
		"/proc/self/mountinfo:22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/sda rw\n" +
		"/proc/self/mountinfo:23 22 0:5 / /sys rw - sysfs sysfs rw\n" +
		"/proc/self/mountinfo:24 22 0:6 / /var/lib/kubelet/pods/uid/volumes/x rw - tmpfs tmpfs rw\n" +
		"/proc/1/stat:1 (drydock) S 0 1 1 0 -1 4 1 1 1 1 1 1 1 1 20 0 9 0 90000 1 1\n" +
		"/proc/7/stat:7 (a) b) S 1 7 7 0 -1 4 1 1 1 1 1 1 1 1 20 0 9 0 99900 1 1\n" +
		"/proc/8/stat:8 (kthreadd) S 0 0 0 0 -1 4 1 1 1 1 1 1 1 1 20 0 9 0 5 1 1\n" +
		"/proc/6/stat:6 (frozen) T 1 7 7 0 -1 4 1 1 1 1 1 1 1 1 20 0 9 0 99900 1 1\n" +
		"/proc/6/cmdline:frozen\x00\n" +
		"/proc/1/cmdline:drydock\x00machine-init\x00\n" +
		"/proc/7/cmdline:drydock\x00machine-init\x00\n" +
		"/proc/9/cmdline:sh\x00-c\x00one:\n/proc/9/cmdline:two\x00\n")
	if want := []string{"/ (ext4)", "/sys (sysfs)"}; !slices.Equal(st.Mounts, want) {
		t.Errorf("mounts %q", st.Mounts)
	}
	if got := st.Processes["drydock machine-init"]; len(got) != 2 || max(got[0], got[1]) != 100.5 || min(got[0], got[1]) != 1.5 || len(st.Processes) != 2 {
		t.Errorf("processes %+v", st.Processes)
	}
}

// TestReadyOn: a Job's pods come and go.
func TestReadyOn(t *testing.T) {
	pod := func(name, node, owner string, ready corev1.ConditionStatus) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{NodeName: node}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		if owner != "" {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: owner, Controller: new(bool)}}
			*p.OwnerReferences[0].Controller = true
		}
		return p
	}
	got := readyOn("worker-1", []corev1.Pod{
		pod("b", "worker-1", "", corev1.ConditionTrue), pod("a", "worker-1", "DaemonSet", corev1.ConditionTrue), pod("job", "worker-1", "Job", corev1.ConditionTrue),
		pod("unready", "worker-1", "", corev1.ConditionFalse), pod("far", "worker-2", "", corev1.ConditionTrue),
	})
	if want := []string{"default/a", "default/b"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
