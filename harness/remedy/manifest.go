package remedy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	kubeyaml "sigs.k8s.io/yaml"

	"drydock.dev/drydock/harness/observe"
)

// imageEdit is a container's image in a file that is to be another.
type imageEdit struct {
	line, column int // of the scalar, from 1
	old, new     string
}

// splitImage takes a reference apart: REPOSITORY[:TAG][@DIGEST].
func splitImage(ref string) (repository, tag, digest string) {
	ref, digest, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i], ref[i+1:], digest
	}
	return ref, "", digest
}

// imageName is what a user calls an image: the last part of its repository.
func imageName(ref string) string {
	repository, _, _ := splitImage(ref)
	return path.Base(repository)
}

// findImages walks a document for the images of containers, wherever a pod or its template stands in it.
func findImages(n *yaml.Node, visit func(image *yaml.Node)) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if (key == "containers" || key == "initContainers") && value.Kind == yaml.SequenceNode {
			for _, c := range value.Content {
				for j := 0; c.Kind == yaml.MappingNode && j+1 < len(c.Content); j += 2 {
					if c.Content[j].Value == "image" && c.Content[j+1].Kind == yaml.ScalarNode {
						visit(c.Content[j+1])
					}
				}
			}
			continue
		}
		findImages(value, visit)
	}
	if n.Kind == yaml.DocumentNode || n.Kind == yaml.SequenceNode {
		for _, c := range n.Content {
			findImages(c, visit)
		}
	}
}

// documents reads a file of one or more.
func documents(raw []byte) (out []*yaml.Node, err error) {
	d := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, &n)
	}
}

// images lists those of a file, in its order.
func images(raw []byte) (out []string, err error) {
	docs, err := documents(raw)
	for _, d := range docs {
		findImages(d, func(n *yaml.Node) { out = append(out, n.Value) })
	}
	return out, err
}

// planEdits finds what is to be changed: of every image that is named the tag.
func planEdits(raw []byte, wanted map[string]string) (edits []imageEdit, err error) {
	docs, err := documents(raw)
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		findImages(d, func(n *yaml.Node) {
			repository, tag, digest := splitImage(n.Value)
			want, named := wanted[path.Base(repository)]
			switch {
			case !named || tag == want && digest == "":
			case digest != "":
				err = fmt.Errorf("line %d: image %s is pinned by its digest, which says nothing of a version: pin it anew by hand", n.Line, n.Value)
			case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.Anchor != "":
				err = fmt.Errorf("line %d: image %s is written as a block or has an anchor: edit it by hand", n.Line, n.Value)
			default:
				edits = append(edits, imageEdit{line: n.Line, column: n.Column, old: n.Value, new: repository + ":" + want})
			}
		})
	}
	return edits, err
}

// editImages changes the tags of a file's images and nothing else: what YAML says is an image is replaced where it stands, so that comments and the order
// stay, and what comes out is read again.
func editImages(raw []byte, wanted map[string]string) ([]byte, []imageEdit, error) {
	edits, err := planEdits(raw, wanted)
	if err != nil || len(edits) == 0 {
		return raw, nil, err
	}
	before, err := images(raw)
	if err != nil {
		return nil, nil, err
	}
	lines := strings.SplitAfter(string(raw), "\n")
	for _, e := range slices.Backward(edits) { // the last first: a line may have several
		line := []rune(lines[e.line-1])
		at := e.column - 1
		if at < len(line) && (line[at] == '"' || line[at] == '\'') {
			at++
		}
		if at > len(line) || !strings.HasPrefix(string(line[at:]), e.old) {
			return nil, nil, fmt.Errorf("line %d: image %s does not stand there as it is read: edit it by hand", e.line, e.old)
		}
		lines[e.line-1] = string(line[:at]) + e.new + strings.TrimPrefix(string(line[at:]), e.old)
	}
	edited := []byte(strings.Join(lines, ""))
	after, err := images(edited)
	if err != nil {
		return nil, nil, fmt.Errorf("after the change it cannot be read: %w", err)
	}
	for i, image := range before {
		repository, tag, digest := splitImage(image)
		want := image
		if w, named := wanted[path.Base(repository)]; named && (tag != w || digest != "") {
			want = repository + ":" + w
		}
		if i >= len(after) || after[i] != want {
			return nil, nil, fmt.Errorf("after the change the images are %v, and not as wanted", after)
		}
	}
	return edited, edits, nil
}

// diff shows edits as diff(1) does.
func diff(file string, raw []byte, edits []imageEdit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", file)
	lines := strings.Split(string(raw), "\n")
	for _, e := range edits {
		was := lines[e.line-1]
		fmt.Fprintf(&b, "%dc%d\n< %s\n> %s\n", e.line, e.line, was, strings.Replace(was, e.old, e.new, 1))
	}
	return b.String()
}

// cloudComponent is a static pod's container that calls the cloud.
type cloudComponent struct {
	Name    string `json:"name"`    // of the container, which is the component's
	Program string `json:"program"` // its process
	Image   string `json:"image"`
	Port    int    `json:"port"` // of its metrics

	config, environment, ca string // files of the machine: its configuration, the description of its cloud, the authority it trusts; empty: none
}

// tellers are the components that call the cloud of themselves where they are told of one, with the ports of their metrics
// (k8s.io/cloud-provider and k8s.io/kubernetes, "ports"). An API server of old is told of it too, and is not stopped: it calls it for addresses only.
func tellers() map[string]int {
	return map[string]int{observe.ControllerManager: 10257, observe.CloudControllerManager: observe.CloudControllerPort}
}

// cloudComponents finds in a static pod's manifest those that call the cloud: they are told of one by --cloud-config or --cloud-provider.
func cloudComponents(manifest []byte) ([]cloudComponent, error) {
	var pod corev1.Pod
	if err := kubeyaml.Unmarshal(manifest, &pod); err != nil {
		return nil, err
	}
	var out []cloudComponent
	for _, c := range pod.Spec.Containers {
		port, known := tellers()[c.Name]
		args := append(slices.Clone(c.Command), c.Args...)
		config, told := flagOf(args, "cloud-config")
		cloud, _ := flagOf(args, "cloud-provider")
		if !known || !told && (cloud == "" || cloud == "external") {
			continue
		}
		found := cloudComponent{Name: c.Name, Program: programOf(c), Image: c.Image, Port: port, config: onHost(pod.Spec, c, config)}
		if own, ok := flagOf(args, "secure-port"); ok {
			if _, err := fmt.Sscanf(own, "%d", &found.Port); err != nil {
				return nil, fmt.Errorf("%s: --secure-port=%s is no port", c.Name, own)
			}
		}
		for _, e := range c.Env {
			switch e.Name {
			case "AZURE_ENVIRONMENT_FILEPATH":
				found.environment = onHost(pod.Spec, c, e.Value)
			case "SSL_CERT_FILE":
				found.ca = onHost(pod.Spec, c, e.Value)
			}
		}
		out = append(out, found)
	}
	return out, nil
}

// flagOf is the value of a flag, written as --name=value or --name value.
func flagOf(args []string, name string) (string, bool) {
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			return v, true
		}
		if a == "--"+name && i+1 < len(args) {
			return args[i+1], true
		}
	}
	return "", false
}

// onHost is where the machine has a file that a container sees at a path.
func onHost(pod corev1.PodSpec, c corev1.Container, file string) string {
	mount, host := "", ""
	for _, m := range c.VolumeMounts {
		inside := file == m.MountPath || strings.HasPrefix(file, strings.TrimSuffix(m.MountPath, "/")+"/")
		if !inside || len(m.MountPath) < len(mount) {
			continue
		}
		for _, v := range pod.Volumes {
			if v.Name == m.Name && v.HostPath != nil {
				mount, host = m.MountPath, v.HostPath.Path
			}
		}
	}
	if mount == "" {
		return file
	}
	return path.Join(host, strings.TrimPrefix(file, mount))
}

// deployments are those of an addon's file that have an image of a wanted name.
func deployments(raw []byte, wanted map[string]string) (out []appsv1.Deployment, err error) {
	docs, err := documents(raw)
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		text, err := yaml.Marshal(d)
		if err != nil {
			return nil, err
		}
		var one appsv1.Deployment
		if err := kubeyaml.Unmarshal(text, &one); err != nil || one.Kind != "Deployment" {
			continue // of another kind, whose fields may have other types
		}
		if slices.ContainsFunc(one.Spec.Template.Spec.Containers, func(c corev1.Container) bool { _, named := wanted[imageName(c.Image)]; return named }) {
			if one.Namespace == "" {
				one.Namespace = corev1.NamespaceDefault
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// unproven are the images in an addon's file that would be changed and are of no Deployment: those are reloaded, and their pods' logs are read.
func unproven(raw []byte, wanted map[string]string) (out []string) {
	edits, err := planEdits(raw, wanted)
	found, findErr := deployments(raw, wanted)
	if err != nil || findErr != nil {
		return nil // which who edits the file says
	}
	var proven []string
	for _, d := range found {
		for _, c := range d.Spec.Template.Spec.Containers {
			proven = append(proven, c.Image)
		}
	}
	for _, e := range edits {
		if i := slices.Index(proven, e.old); i >= 0 {
			proven = slices.Delete(proven, i, i+1)
		} else {
			out = append(out, e.old)
		}
	}
	return out
}
