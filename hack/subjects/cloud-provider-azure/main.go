// Command cloud-provider-azure drives today's Azure provider against a twin.
package main

import (
	"context"
	"errors"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/cloud-provider-azure/pkg/provider"
	azureconfig "sigs.k8s.io/cloud-provider-azure/pkg/provider/config"

	"drydock.dev/drydock/hack/subjects/driver"
)

func main() {
	driver.Main("sigs.k8s.io/cloud-provider-azure", func(config string) (*driver.Provider, error) {
		parsed, err := azureconfig.ParseConfig(strings.NewReader(config))
		if err != nil {
			return nil, err
		}
		opened, err := provider.NewCloud(context.Background(), nil, parsed, false)
		if err != nil {
			return nil, err
		}
		cloud, ok := opened.(*provider.Cloud)
		if !ok {
			return nil, errors.New("the provider is no provider.Cloud")
		}
		kube := kubernetes(context.Background(), cloud)
		return &driver.Provider{
			Node: func(ctx context.Context, node string) (string, error) {
				return cloud.InstanceID(ctx, types.NodeName(node))
			},
			Disk: func(ctx context.Context, node, disk, uri string) error {
				// What a disk driver calls of the provider: it has chosen the LUN itself.
				return cloud.VMSet.AttachDisk(ctx, types.NodeName(node), map[string]*provider.AttachDiskOptions{uri: {DiskName: disk, CachingMode: armcompute.CachingTypesReadOnly}})
			},
			Balance: func(ctx context.Context, service string, nodes []string) error {
				if err := kube.add(ctx, serviceOf(service), nodesOf(nodes)); err != nil {
					return err
				}
				_, err := cloud.EnsureLoadBalancer(ctx, "kubernetes", serviceOf(service), nodesOf(nodes))
				return err
			},
		}, nil
	})
}

// cluster is the Kubernetes side of the provider, which keeps a lock and its lists there: client-go's own stand-in, as it is not what is tested.
type cluster struct{ client *fake.Clientset }

func kubernetes(ctx context.Context, cloud *provider.Cloud) *cluster {
	c := &cluster{fake.NewClientset()}
	cloud.KubeClient = c.client
	informed := informers.NewSharedInformerFactory(c.client, 0)
	cloud.SetInformers(informed)
	informed.Start(ctx.Done())
	informed.WaitForCacheSync(ctx.Done())
	return c
}

func (c *cluster) add(ctx context.Context, s *v1.Service, nodes []*v1.Node) error {
	for _, n := range nodes {
		if _, err := c.client.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	_, err := c.client.CoreV1().Services(s.Namespace).Create(ctx, s, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
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
