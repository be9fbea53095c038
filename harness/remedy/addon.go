package remedy

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubeyaml "sigs.k8s.io/yaml"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// programsOf are the processes of a static pod's containers of a name.
func programsOf(manifest []byte, name string) (out []string) {
	var pod corev1.Pod
	if kubeyaml.Unmarshal(manifest, &pod) != nil {
		return nil // which cloudComponents says
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == name {
			out = append(out, programOf(c))
		}
	}
	return out
}

// programOf is the process of a container: what it is told to run, else as its image is called. A shell goes by the image too: what it runs is not said, and
// others run shells.
func programOf(c corev1.Container) string {
	if len(c.Command) > 0 {
		if program := path.Base(c.Command[0]); !slices.Contains([]string{"sh", "ash", "bash", "dash", "env"}, program) {
			return program
		}
	}
	return imageName(c.Image)
}

// The cluster-autoscaler, as its chart and AKS Engine call it, and where it is written how many there were.
const (
	autoscaler    = "cluster-autoscaler"
	replicasKept  = "drydock.dev/replicas-before-runbook"
	addonWithin   = 3 * time.Minute
	managerLabels = "component=" + addonManager
)

// addon is a Deployment of an addon's file that has one of the images.
type addon struct {
	file string
	on   cluster.Machine // that has the file
	appsv1.Deployment
}

func (t throttled) addons(ctx context.Context) (out []addon, err error) {
	seen := map[string]bool{}
	for _, name := range t.Topology.ControlPlaneMachines() {
		p, err := t.reach(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, f := range p.addons {
			found, err := deployments(f.raw, t.Spec.Images)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, f.path, err)
			}
			for _, d := range found {
				if key := d.Namespace + "/" + d.Name; !seen[key] {
					seen[key] = true
					out = append(out, addon{f.path, p.machine, d})
				}
			}
		}
	}
	return out, nil
}

// reloadAddons has the addon managers read their files anew: their pods are deleted, and then the Deployments, which they make again. Where there is no
// addon manager nobody would: the file is applied instead, and nothing deleted. Who has the versions already is left alone.
func (t throttled) reloadAddons(ctx context.Context) error {
	all, err := t.addons(ctx)
	if err != nil {
		return err
	}
	managed, err := t.reloadManagers(ctx, all)
	if err != nil {
		return err
	}
	for _, a := range all {
		if err := t.reload(ctx, a, managed); err != nil {
			return err
		}
	}
	scaled, err := t.scaled(ctx)
	if err != nil {
		return err
	}
	for _, name := range scaled {
		if err := t.scaleUp(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (t throttled) reloadManagers(ctx context.Context, all []addon) (managed bool, err error) {
	client := t.Target.Client.CoreV1().Pods(metav1.NamespaceSystem)
	pods, err := client.List(ctx, metav1.ListOptions{LabelSelector: managerLabels})
	if err != nil {
		return false, fmt.Errorf("addon managers: %w", err)
	}
	behind := false
	for _, a := range all {
		lacks, err := t.behind(ctx, a)
		if err != nil {
			return false, err
		}
		behind = behind || lacks != nil
	}
	for i := range pods.Items {
		old := &pods.Items[i]
		if !behind {
			return true, nil
		}
		if err := client.Delete(ctx, old.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return true, fmt.Errorf("addon manager %s: %w", old.Name, err)
		}
		err := cluster.Await(ctx, "addon manager "+old.Name+" again", cluster.Wait{For: addonWithin, Every: time.Second}, func(ctx context.Context) error {
			p, err := client.Get(ctx, old.Name, metav1.GetOptions{})
			switch {
			case err != nil:
				return err
			case p.UID == old.UID:
				return errors.New("it is the old one")
			case p.Status.Phase != corev1.PodRunning:
				return fmt.Errorf("it is %s", p.Status.Phase)
			}
			return nil
		})
		if err != nil {
			return true, err
		}
		t.note(old.Spec.NodeName, "addon manager %s was deleted, and is there again", old.Name)
	}
	return len(pods.Items) > 0, nil
}

// behind says what a Deployment lacks of what its file has; nil: nothing. That nobody can tell is an error, and no reason to delete one.
func (t throttled) behind(ctx context.Context, a addon) (lacks, _ error) {
	d, err := t.Target.Client.AppsV1().Deployments(a.Namespace).Get(ctx, a.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return err, nil
	case err != nil:
		return nil, fmt.Errorf("addon %s: %w", a.Name, err)
	}
	if lacks := t.atVersion(d.Spec.Template.Spec); lacks != nil {
		return lacks, nil
	}
	if want := replicasOf(&a.Deployment); replicasOf(d) != want {
		return fmt.Errorf("it is to have %d replicas, and not the %d of its file", replicasOf(d), want), nil
	}
	return nil, nil
}

func (t throttled) atVersion(pod corev1.PodSpec) error {
	for _, c := range pod.Containers {
		_, tag, _ := splitImage(c.Image)
		if want, named := t.Spec.Images[imageName(c.Image)]; named && tag != want {
			return fmt.Errorf("container %s has %s, and not %s", c.Name, c.Image, want)
		}
	}
	return nil
}

func (t throttled) reload(ctx context.Context, a addon, managed bool) error {
	client := t.Target.Client.AppsV1().Deployments(a.Namespace)
	lacks, err := t.behind(ctx, a)
	switch {
	case err != nil:
		return err
	case lacks == nil:
	case managed:
		foreground := metav1.DeletePropagationForeground
		if err := client.Delete(ctx, a.Name, metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("addon %s: %w", a.Name, err)
		}
		t.note("", "deployment %s/%s was deleted, for the addon manager to make it again", a.Namespace, a.Name)
	default:
		_, err := a.on.Exec(ctx, cluster.Command{Args: []string{"kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "apply", "-f", a.file}})
		if err != nil {
			return err
		}
		t.note(a.on.Name(), "%s was applied: there is no addon manager", a.file)
		if err := t.scaleUp(ctx, types.NamespacedName{Namespace: a.Namespace, Name: a.Name}); err != nil { // a file that does not say how many there are to be leaves it as it is
			return err
		}
	}
	return cluster.Await(ctx, fmt.Sprintf("deployment %s/%s as its file has it", a.Namespace, a.Name), cluster.Wait{For: addonWithin, Every: time.Second}, func(ctx context.Context) error {
		if lacks, err := t.behind(ctx, a); err != nil || lacks != nil {
			return errors.Join(err, lacks)
		}
		d, err := client.Get(ctx, a.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return rolledOut(d)
	})
}

// verifyAddons reads the version that each pod tells in its own log.
func (t throttled) verifyAddons(ctx context.Context) error {
	all, err := t.addons(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("%w: no addon has one of the images", plan.ErrSkip)
	}
	for _, a := range all {
		err := cluster.Await(ctx, fmt.Sprintf("every pod of %s/%s tells its version", a.Namespace, a.Name), cluster.Wait{For: t.Spec.Timeout, Every: time.Second}, func(ctx context.Context) error {
			pods, err := t.podsOf(ctx, &a.Deployment)
			if err != nil {
				return err
			}
			if want := replicasOf(&a.Deployment); len(pods) != int(want) {
				return fmt.Errorf("%d pods, and not %d", len(pods), want)
			}
			for i := range pods {
				if err := t.podTells(ctx, &pods[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// podTells is nil where the logs of a pod's containers have the version of their images.
func (t throttled) podTells(ctx context.Context, pod *corev1.Pod) error {
	for _, c := range pod.Spec.Containers {
		want, named := t.Spec.Images[imageName(c.Image)]
		if !named {
			continue
		}
		raw, err := t.Target.Client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: c.Name}).DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("log of %s: %w", pod.Name, err)
		}
		told := ""
		for line := range strings.Lines(string(raw)) {
			if v := versions().FindString(line); v != "" && strings.Contains(strings.ToLower(line), "version") {
				told = v
				break
			}
		}
		if !sameVersion(told, want) {
			return fmt.Errorf("the log of %s in %s says %q, and not %s", c.Name, pod.Name, told, want)
		}
		t.note(pod.Spec.NodeName, "%s in %s runs %s, by its log", c.Name, pod.Name, told)
	}
	return nil
}
