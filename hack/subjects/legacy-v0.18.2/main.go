// Command legacy drives the in-tree Azure provider of Kubernetes against a twin.
package main

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	"k8s.io/legacy-cloud-providers/azure"

	"drydock.dev/drydock/hack/subjects/driver"
)

func main() {
	driver.Main(func(config string) (map[string]driver.Do, error) {
		// Kubernetes' own programs register what the provider asks for.
		err := feature.DefaultMutableFeatureGate.Add(map[featuregate.Feature]featuregate.FeatureSpec{"IPv6DualStack": {PreRelease: featuregate.Alpha}})
		if err != nil {
			return nil, err
		}
		cloud, err := azure.NewCloud(strings.NewReader(config))
		if err != nil {
			return nil, err
		}
		instances, ok := cloud.Instances()
		if !ok {
			return nil, fmt.Errorf("the provider has no instances")
		}
		return map[string]driver.Do{
			// node NAME: the lookup that follows every event of a node or disk.
			"node": func(args []string) (string, error) {
				return instances.InstanceID(context.Background(), types.NodeName(args[0]))
			},
		}, nil
	})
}
