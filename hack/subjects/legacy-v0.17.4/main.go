// Command legacy drives the in-tree Azure provider of Kubernetes against a twin.
package main

import (
	"context"
	"errors"
	"strings"

	"github.com/Azure/azure-sdk-for-go/services/compute/mgmt/2019-07-01/compute"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	"k8s.io/legacy-cloud-providers/azure"

	"drydock.dev/drydock/hack/subjects/driver"
)

func main() {
	driver.Main("k8s.io/legacy-cloud-providers", func(config string) (*driver.Provider, error) {
		// Kubernetes' own programs register what the provider asks for.
		err := feature.DefaultMutableFeatureGate.Add(map[featuregate.Feature]featuregate.FeatureSpec{"IPv6DualStack": {PreRelease: featuregate.Alpha}})
		if err != nil {
			return nil, err
		}
		opened, err := azure.NewCloud(strings.NewReader(config))
		if err != nil {
			return nil, err
		}
		cloud, ok := opened.(*azure.Cloud)
		if !ok {
			return nil, errors.New("the provider is no azure.Cloud")
		}
		return &driver.Provider{
			Node: func(ctx context.Context, node string) (string, error) {
				return cloud.InstanceID(ctx, types.NodeName(node))
			},
			Disk: func(_ context.Context, node, disk, uri string) error {
				_, err := cloud.AttachDisk(true, disk, uri, types.NodeName(node), compute.CachingTypesReadOnly)
				return err
			},
			Balance: func(ctx context.Context, service string, nodes []string) error {
				_, err := cloud.EnsureLoadBalancer(ctx, "kubernetes", serviceOf(service), nodesOf(nodes))
				return err
			},
		}, nil
	})
}

// serviceOf is a Service with one port that wants a balancer.
func serviceOf(name string) *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("00000000-0000-4000-8000-" + name)},
		Spec:       v1.ServiceSpec{Type: v1.ServiceTypeLoadBalancer, Ports: []v1.ServicePort{{Name: "http", Protocol: v1.ProtocolTCP, Port: 80, NodePort: 30080}}},
	}
}

func nodesOf(names []string) (out []*v1.Node) {
	for _, n := range names {
		out = append(out, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: n}})
	}
	return out
}
