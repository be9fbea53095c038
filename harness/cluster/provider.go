package cluster

import "context"

// Provider makes clusters, or finds those that exist. It brings them up by whatever means are its own: what it hands out serves.
type Provider interface {
	// Name is what --provider, reports and journals call it.
	Name() string
	// Offer says what Up would give for the topology, by trying what can be tried without making anything. A UsageError says why it can give none
	// here, and what to do.
	Offer(ctx context.Context, t Topology) (Offer, error)
	// Provide makes the programs and images of a product's version ("kubernetes", "etcd") available on this host, so that Install finds them; slow the first time.
	Provide(ctx context.Context, product, version string) error
	// Up makes a cluster that serves, with the machines of the Offer, and is this process's own; on error nothing is left behind.
	Up(ctx context.Context, t Topology) (Cluster, error)
	// Attach finds a cluster that is up; a UsageError lists those that are.
	Attach(ctx context.Context, name string) (Cluster, error)
	// List names the clusters that are up.
	List(ctx context.Context) ([]string, error)
	// Down removes a cluster of that name, or what is left of one: idempotent, undoes only what Up did, and refuses, with a UsageError, what belongs
	// to another process or was never made by the provider.
	Down(ctx context.Context, name string) error
}

// Offer is what a provider would give for a topology.
type Offer struct {
	Machines []MachineSpec // that Up would make, in the topology's order
	Lacks    Lacks         // what they will not be able to do
}

// Sweeper is a provider whose clusters may leave something behind when their makers are killed.
type Sweeper interface {
	// Sweep looks at every cluster it knows of, removes what dead ones have left, and tells of each in a few words what was found. What runs or belongs
	// to a living process is left alone.
	Sweep(ctx context.Context, tell func(name, found string)) error
}

// Lasting is a provider whose clusters may have been there before it and stay when everybody has gone.
type Lasting interface {
	// Lasts reports whether they do: one that cannot be found has then not ended.
	Lasts() bool
}

// EtcdChooser is a provider whose clusters run the etcd that their kubeadm chooses, where they name none themselves.
type EtcdChooser interface {
	// EtcdOf is the version of etcd that the kubeadm of a version of Kubernetes chooses, once that was provided.
	EtcdOf(ctx context.Context, kubernetes string) (string, error)
}

// Summed is a provider that knows, byte by byte, the programs that it gives to machines.
type Summed interface {
	// Sums are the SHA-256 of the programs of a product's version ("kubernetes", "v1.35.4") that there are on this host, by their names.
	Sums(product, version string) (map[string]string, error)
}

// Progress is told of the phases of something slow; the returned function ends the phase.
type Progress interface {
	Phase(format string, args ...any) (done func(err error))
}

// Profile is what the machines of a cluster are like, for whoever configures or upgrades Kubernetes on them.
type Profile struct {
	CRISocket string `json:"criSocket"` // of the container runtime, a unix:// URL
	Programs  string `json:"programs"`  // the directory Install puts programs into
	// IgnorePreflight names the checks of kubeadm that cannot pass on these machines, one by one. "all" is for the lab alone: elsewhere a check that fails
	// says something about the machine.
	IgnorePreflight []string `json:"ignorePreflight"`
	// Where Drydock runs kubeadm init itself:
	Kubelet       map[string]any  `json:"kubelet,omitempty"`       // fields of the KubeletConfiguration that the machines need
	KubeletGates  map[string]bool `json:"kubeletGates,omitempty"`  // its feature gates
	VolumePlugins string          `json:"volumePlugins,omitempty"` // the directory of volume plugins; empty: Kubernetes' default
	SkipPhases    []string        `json:"skipPhases,omitempty"`    // of kubeadm init
}
