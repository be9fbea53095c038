// Command cloud-provider-azure drives today's Azure provider against a twin.
package main

import (
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/cloud-provider-azure/pkg/provider"
	azureconfig "sigs.k8s.io/cloud-provider-azure/pkg/provider/config"

	"drydock.dev/drydock/hack/subjects/driver"
)

func main() {
	driver.Main(func(config string) (map[string]driver.Do, error) {
		parsed, err := azureconfig.ParseConfig(strings.NewReader(config))
		if err != nil {
			return nil, err
		}
		cloud, err := provider.NewCloud(context.Background(), nil, parsed, false)
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
