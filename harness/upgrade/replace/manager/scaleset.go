package manager

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"
)

// ScaleSets is the type of scale sets.
const ScaleSets = "Microsoft.Compute/virtualMachineScaleSets"

// Set is a scale set as far as the replacement of its instances asks.
type Set struct {
	ID, Name string
	Tags     map[string]string
	SKU      struct {
		Name, Tier string
		Capacity   int
	}
}

// Instance is one machine of a scale set.
type Instance struct {
	ID         string            `json:"id"`
	InstanceID string            `json:"instanceId"` // never used again in its set
	Tags       map[string]string `json:"tags"`
	Properties struct {
		State     string `json:"provisioningState"`
		OSProfile struct {
			ComputerName string `json:"computerName"`
		} `json:"osProfile"`
	} `json:"properties"`
}

// Computer is what the instance calls itself, and its Node.
func (i Instance) Computer() string { return i.Properties.OSProfile.ComputerName }

// Set reads a scale set; nil: there is none.
func (c *Client) Set(ctx context.Context, name string) (*Set, error) {
	var s Set
	return read(ctx, c, c.ID(ScaleSets, name), &s)
}

// Instances lists the machines of a scale set, oldest first.
func (c *Client) Instances(ctx context.Context, set string) ([]Instance, error) {
	out, err := list[Instance](ctx, c, "instances of "+set, c.ID(ScaleSets, set)+"/virtualMachines?api-version="+versionVM)
	slices.SortStableFunc(out, func(a, b Instance) int {
		return cmp.Or(cmp.Compare(len(a.InstanceID), len(b.InstanceID)), cmp.Compare(a.InstanceID, b.InstanceID))
	})
	return out, err
}

// ChangeSet gives a scale set's model tags and a number of instances, and returns when they are there.
func (c *Client) ChangeSet(ctx context.Context, s *Set, tags map[string]string, capacity int) error {
	change := armresources.GenericResource{Tags: map[string]*string{}, SKU: &armresources.SKU{Name: to.Ptr(s.SKU.Name), Tier: to.Ptr(s.SKU.Tier), Capacity: to.Ptr(int32(capacity))}} //nolint:gosec // a few
	for k, v := range tags {
		change.Tags[k] = to.Ptr(v)
	}
	poller, err := c.resources.BeginUpdateByID(ctx, s.ID, versionVM, change, nil)
	if err == nil {
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: c.every})
	}
	return wrong(fmt.Sprintf("change %s to %d instances", Short(s.ID), capacity), err)
}
