// Command legacy drives the in-tree Azure provider of Kubernetes against a twin.
package main

import (
	"fmt"
	"strings"

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
		return driver.Nodes(instances.InstanceID), nil
	})
}
