package remedy

import (
	"strings"
	"testing"
)

const manyImages = `# kept
apiVersion: v1
kind: Pod
metadata: {name: cloud-controller-manager}   # as it is
spec:
  hostNetwork: true
  initContainers: [{name: a, image: "reg:5000/x/ccm:v1"}, {name: b, image: reg:5000/x/ccm:v1}]
  containers:
  - name: cloud-controller-manager
    image: reg:5000/x/ccm:v1 # the one
    command: ["/usr/bin/prog", "--cloud-config=/etc/kubernetes/azure.json", "--secure-port", "10300", "--image=x/ccm:v1"]
    env: [{name: SSL_CERT_FILE, value: /tw/ca.pem}, {name: AZURE_ENVIRONMENT_FILEPATH, value: /tw/sub/e.json}]
    volumeMounts: [{name: k, mountPath: /etc/kubernetes}, {name: t, mountPath: /tw}]
  volumes: [{name: k, hostPath: {path: /etc/kubernetes}}, {name: t, hostPath: {path: /etc/drydock/twin}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cluster-autoscaler, namespace: kube-system}
spec:
  template:
    spec:
      containers:
      - {name: cluster-autoscaler, image: 'other/ccm'}
      - {name: beside, image: other/side:v1}
`

func TestOnlyTheImagesThatAreNamedAreEdited(t *testing.T) {
	edited, edits, err := editImages([]byte(manyImages), map[string]string{"ccm": "v2"})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(`"reg:5000/x/ccm:v1"}`, `"reg:5000/x/ccm:v2"}`, `b, image: reg:5000/x/ccm:v1`, `b, image: reg:5000/x/ccm:v2`, `image: reg:5000/x/ccm:v1 #`, `image: reg:5000/x/ccm:v2 #`, `'other/ccm'`, `'other/ccm:v2'`).Replace(manyImages)
	if string(edited) != want || len(edits) != 4 {
		t.Errorf("%d edits:\n%s", len(edits), edited)
	}
	if d := diff("f", []byte(manyImages), edits[2:3]); d != "f\n10c10\n<     image: reg:5000/x/ccm:v1 # the one\n>     image: reg:5000/x/ccm:v2 # the one\n" {
		t.Errorf("diff: %q", d)
	}
	again, edits, err := editImages(edited, map[string]string{"ccm": "v2"})
	if err != nil || len(edits) != 0 || string(again) != string(edited) {
		t.Errorf("a second time: %v, %v", edits, err)
	}
}

func TestAnImageThatCannotBeEditedIsToldAndNotGuessed(t *testing.T) {
	for says, image := range map[string]string{
		"pinned by its digest": "x/ccm:v1@sha256:00", "a block": "|-\n      x/ccm:v1", "an anchor": "&i x/ccm:v1",
	} {
		raw := "spec:\n  containers:\n  - name: a\n    image: " + image + "\n"
		if _, _, err := editImages([]byte(raw), map[string]string{"ccm": "v2"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v; want %q", image, err, says)
		}
	}
	if _, _, err := editImages([]byte("spec: [\n"), map[string]string{"ccm": "v2"}); err == nil {
		t.Error("what is no YAML is edited")
	}
}

func TestWhoCallsTheCloudIsFoundWithItsFilesOnTheMachine(t *testing.T) {
	pod, _, _ := strings.Cut(manyImages, "---")
	got, err := cloudComponents([]byte(pod))
	want := cloudComponent{Name: "cloud-controller-manager", Program: "prog", Image: "reg:5000/x/ccm:v1", Port: 10300, config: "/etc/kubernetes/azure.json", environment: "/etc/drydock/twin/sub/e.json", ca: "/etc/drydock/twin/ca.pem"}
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("%+v, %v", got, err)
	}
	for name, of := range map[string]string{
		"an API server":       strings.Replace(pod, "- name: cloud-controller-manager", "- name: kube-apiserver", 1),
		"told of no cloud":    strings.Replace(pod, "--cloud-config", "--other", 1),
		"an external one":     strings.Replace(pod, "--cloud-config=/etc/kubernetes/azure.json", "--cloud-provider=external", 1),
		"by another's config": strings.Replace(pod, "kind: Pod", "kind: Pod\n# nothing", 1),
	} {
		got, err := cloudComponents([]byte(of))
		if err != nil || (len(got) == 1) != (name == "by another's config") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAnAddonsDeploymentIsFoundByItsImage(t *testing.T) {
	got, err := deployments([]byte(manyImages), map[string]string{"side": "v2"})
	if err != nil || len(got) != 1 || got[0].Name != "cluster-autoscaler" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := deployments([]byte(manyImages), map[string]string{"nobody": "v2"}); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}
