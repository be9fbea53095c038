package lab

import (
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/machineinit"
)

// volumePlugins is on the machine's own disk: the default lies below /usr, which is the host's and read-only.
const volumePlugins = "/var/lib/kubelet/volumeplugins"

// Profile is what the machines of every lab are like: processes in a user namespace of their own, without cgroups, on the host's kernel and file system.
func (*Lab) Profile() cluster.Profile {
	return cluster.Profile{
		CRISocket: "unix://" + machineinit.CRISocket, Programs: machineinit.BinDir, VolumePlugins: volumePlugins,
		// The checks ask for tools and kernel settings of a whole machine; kubeadm's health checks do run, and Drydock's own preflight.
		IgnorePreflight: []string{"all"},
		// Services have no addresses without kube-proxy, which has no image here, and names no server.
		SkipPhases:   []string{"addon/kube-proxy", "addon/coredns"},
		KubeletGates: map[string]bool{"KubeletInUserNamespace": true},
		Kubelet: map[string]any{
			// No cgroups of its own. Of the last an empty list would be dropped by kubeadm, and the default refused by the kubelet.
			"cgroupDriver": "cgroupfs", "cgroupsPerQOS": false, "enforceNodeAllocatable": []string{"none"},
			"failCgroupV1": false, "failSwapOn": false, "localStorageCapacityIsolation": false, "makeIPTablesUtilChains": false,
			"volumePluginDir": volumePlugins, "resolvConf": "/etc/resolv.conf",
			// The machine's disk is the host's: how full that is is not the cluster's business.
			"imageGCHighThresholdPercent": 100,
			"evictionHard":                map[string]string{"imagefs.available": "0%", "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%"},
		},
	}
}
