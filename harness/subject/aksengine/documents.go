package aksengine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

// Deployed is what the cloud has of a cluster.
type Deployed struct{ azure.State }

// hurry is how many times as fast as the wall's the clock of a twin runs that nobody looks at.
const hurry = "60"

// DeployDocuments has the tool deploy a cluster to a twin that has documents only and lives no longer, and gives these: for machines that are there already.
// The tool's model of the cluster is in Dir afterwards.
func (a *Engine) DeployDocuments(ctx context.Context, m Model) (d Deployed, err error) {
	policy, err := throttle.LoadPolicy("current")
	if err != nil {
		return d, err
	}
	clock, err := arm.ParseClock(hurry)
	if err != nil {
		return d, err
	}
	twin, err := azure.New(azure.Options{Clock: clock, Policy: policy})
	if err != nil {
		return d, err
	}
	server, err := twin.Serve(ctx, azure.Listen{Address: "127.0.0.1:0"})
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	a.Twin, a.CA = server.Ready, server.CA
	ended, err := a.Deploy(ctx, m)
	if err != nil {
		return d, err
	}
	if ended.Code != 0 {
		return d, fmt.Errorf("%s ended %d: %s (its log: %s)", ended.Command, ended.Code, ended.Said, a.file(ended.Log))
	}
	return Deployed{twin.State()}, nil
}

// Machines are the names of its machines, as they know themselves.
func (d Deployed) Machines() (names []string) {
	for _, raw := range d.Resources {
		var doc map[string]any
		if json.Unmarshal(raw, &doc) != nil {
			continue // a document of the twin's own making
		}
		if name, _, is := machineOf(doc); is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
