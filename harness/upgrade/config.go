package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
)

// kubeadm keeps the cluster's version and the kubelets' configuration in ConfigMaps and writes them at the end of `upgrade apply`. A first control
// plane that is rolled back after that would leave them at the new version: the next attempt would take the cluster for upgraded and run `upgrade
// node`, and a machine that joins meanwhile would get the new configuration.

// configFile has them as they were before, beside the machine's saved files.
func (m *machineUpgrade) configFile() string { return path.Join(m.saved(), "cluster-config.json") }

// saveConfig keeps them once, before kubeadm's apply.
func (m *machineUpgrade) saveConfig(ctx context.Context, machine cluster.Machine) error {
	_, err := machine.ReadFile(ctx, m.configFile())
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var config kubeadm.ClusterConfig
	err = cluster.Await(ctx, "read kubeadm's ConfigMaps", cluster.Wait{For: 30 * time.Second}, func(ctx context.Context) (err error) {
		config, err = kubeadm.ReadConfig(ctx, m.Target.Client)
		return err
	})
	if err != nil {
		return err
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("cluster config: %w", err)
	}
	return machine.WriteFile(ctx, m.configFile(), raw, 0o600)
}

// pinEtcd writes the version of etcd that was asked for into the cluster's configuration, as who upgrades by hand does before kubeadm's apply.
func (m *machineUpgrade) pinEtcd(ctx context.Context) error {
	if m.Spec.EtcdVersion == "" {
		return nil
	}
	return cluster.Await(ctx, "write etcd's version into kubeadm-config", cluster.Wait{For: 30 * time.Second}, func(ctx context.Context) error {
		return kubeadm.PinEtcd(ctx, m.Target.Client, m.Spec.EtcdVersion)
	})
}

// restoreConfig puts them back when the machine is the one that had applied the version and no other control plane has it: the hop is then as if it
// had not begun.
func (m *machineUpgrade) restoreConfig(ctx context.Context, machine cluster.Machine) error {
	raw, err := machine.ReadFile(ctx, m.configFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var config kubeadm.ClusterConfig
	if err := json.Unmarshal(raw, &config); err != nil {
		return fmt.Errorf("cluster config: %w", err)
	}
	return cluster.Await(ctx, "put kubeadm's ConfigMaps back", cluster.Wait{For: m.Spec.MachineTimeout}, func(ctx context.Context) error {
		others, err := onTheWay(m.Observer.Observe(ctx).Components, m.Topology.ControlPlaneMachines(), m.machine, m.version)
		if err != nil || others {
			return err
		}
		return kubeadm.WriteConfig(ctx, m.Target.Client, config)
	})
}

// onTheWay reports whether another control plane runs something of the version; silence is an error.
func onTheWay(components []observe.Component, controlPlanes []string, but, version string) (bool, error) {
	heard := map[string]bool{}
	for _, c := range components {
		if c.Machine == but || !slices.Contains(controlPlanes, c.Machine) {
			continue
		}
		if c.Version == version {
			return true, nil
		}
		if c.Version == "" {
			return false, fmt.Errorf("%s does not answer: %s", c, c.Error)
		}
		heard[c.Machine] = true
	}
	for _, name := range controlPlanes {
		if name != but && !heard[name] {
			return false, fmt.Errorf("%s was not heard", name)
		}
	}
	return false, nil
}
