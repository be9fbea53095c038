package aksengine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/standin"
	"drydock.dev/drydock/harness/azure/throttle"
)

// world is a twin with the stand-in for the cluster that its machines are, and the tool that takes both for real.
type world struct {
	twin    *azure.Twin
	server  *azure.Server
	clock   arm.Clock
	cluster *standin.Cluster
	api     *http.Server
	tool    *Engine
	config  string // kubeconfig of the stand-in
}

// Group is the resource group of clusters that are deployed here.
const Group = "drydock"

// The stand-in's times, by the wall's clock, as the tool's own are.
const (
	grace        = 40 * time.Second
	provisioning = 60 * time.Second // a tenth of what the script takes: no time of the tool's depends on it
)

// open makes one in a directory. Close ends it.
func (r *Run) open(ctx context.Context, dir string) (_ *world, err error) {
	w := &world{cluster: standin.New(standin.Options{Grace: grace, Provisioning: provisioning})}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	policy, err := throttle.LoadPolicy(r.Story.Policy)
	if err != nil {
		return nil, err
	}
	if w.clock, err = arm.ParseClock(r.Story.Clock); err != nil {
		return nil, err
	}
	if w.twin, err = azure.New(azure.Options{Clock: w.clock, Policy: policy, Seed: uint64(r.Seed), Machines: w.cluster}); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("aks-engine: %w", err)
	}
	if w.server, err = w.twin.Serve(ctx, azure.Listen{Address: "127.0.0.1:0", CAOut: filepath.Join(dir, "ca.pem"), ReadyFile: filepath.Join(dir, readyFile)}); err != nil {
		return nil, err
	}
	w.tool = &Engine{Path: r.program, Twin: w.server.Ready, CA: w.server.CA, Dir: dir, Group: Group, Public: r.Story.Pool == PoolScaleSet}
	return w, w.serveAPI(ctx, dir)
}

// serveAPI opens the stand-in's API server, and writes the kubeconfig that leads to it.
func (w *world) serveAPI(ctx context.Context, dir string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("stand-in: %w", err)
	}
	w.api = &http.Server{Handler: w.cluster, ReadHeaderTimeout: time.Minute}
	go func() { _ = w.api.Serve(l) }() // until close
	if w.config, err = filepath.Abs(filepath.Join(dir, "kubeconfig.json")); err != nil {
		return fmt.Errorf("stand-in: %w", err)
	}
	const name = "stand-in"
	raw, err := json.MarshalIndent(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"clusters": []any{map[string]any{"name": name, "cluster": map[string]any{"server": "http://" + l.Addr().String()}}},
		"contexts": []any{map[string]any{"name": name, "context": map[string]any{"cluster": name, "user": name}}},
		"users":    []any{map[string]any{"name": name, "user": map[string]any{}}},
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("stand-in: %w", err)
	}
	return os.WriteFile(w.config, raw, 0o600)
}

func (w *world) scene() Scene { return Scene{Twin: w.twin, Cluster: w.cluster, Kubeconfig: w.config} }

// close ends it; idempotent.
func (w *world) close() error {
	var errs []error
	if w.api != nil {
		errs = append(errs, w.api.Close())
	}
	if w.server != nil {
		errs = append(errs, w.server.Close())
	}
	return errors.Join(errs...)
}

// base is a cluster that was deployed: what the cloud has of it, and the directory of the tool's model.
type base struct {
	state azure.State
	dir   string
}

// enter makes the world one in which the cluster is that was deployed.
func (w *world) enter(ctx context.Context, b base) error {
	for _, raw := range b.state.Resources {
		var doc map[string]any
		if err := json.Unmarshal(raw, &doc); err != nil {
			return fmt.Errorf("the deployed cluster: %w", err)
		}
		if name, tags, is := machineOf(doc); is {
			if err := w.cluster.Create(ctx, provider.Machine{Name: name, Tags: tags}); err != nil {
				return err
			}
		}
	}
	if err := w.twin.Load(b.state); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(w.tool.Dir, output), os.DirFS(filepath.Join(b.dir, output))); err != nil {
		return fmt.Errorf("the model of the deployed cluster: %w", err)
	}
	return w.tool.Connect()
}

// The types of documents that are machines.
const (
	vmType       = "Microsoft.Compute/virtualMachines"
	instanceType = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"
)

// machineOf is the machine that a document stands for: the name that it knows itself by, and its tags.
func machineOf(doc map[string]any) (name string, tags map[string]string, is bool) {
	typ := arm.Text(doc, "type")
	if !strings.EqualFold(typ, vmType) && !strings.EqualFold(typ, instanceType) {
		return "", nil, false
	}
	tags = map[string]string{}
	if all, ok := doc["tags"].(map[string]any); ok {
		for k, v := range all {
			tags[k] = fmt.Sprint(v)
		}
	}
	return strings.ToLower(arm.Text(doc, "properties", "osProfile", "computerName")), tags, true
}
