package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// The types that a machine is made of, and the api-versions in which they are called for.
const (
	VirtualMachines   = "Microsoft.Compute/virtualMachines"
	Disks             = "Microsoft.Compute/disks"
	NetworkInterfaces = "Microsoft.Network/networkInterfaces"

	versionVM      = "2024-07-01"
	versionDisk    = "2024-03-02"
	versionNetwork = "2024-05-01"
	versionRole    = "2022-04-01"
)

func versionOf(id string) string {
	switch low := strings.ToLower(id); {
	case strings.Contains(low, "/microsoft.compute/disks/"):
		return versionDisk
	case strings.Contains(low, "/microsoft.network/"):
		return versionNetwork
	case strings.Contains(low, "/microsoft.authorization/"):
		return versionRole
	default:
		return versionVM
	}
}

// The states of a resource that are over.
const (
	Succeeded = "Succeeded"
	Failed    = "Failed"
	Canceled  = "Canceled"
	Deleting  = "Deleting"
)

// Reference names another resource.
type Reference struct {
	ID string `json:"id"`
}

// DataDisk is one of a machine's, beside its system's.
type DataDisk struct {
	LUN          int       `json:"lun"`
	Name         string    `json:"name"`
	ManagedDisk  Reference `json:"managedDisk"`
	DeleteOption string    `json:"deleteOption,omitempty"` // Delete: it goes with its machine
}

// GoesAlong reports whether the disk is deleted with its machine.
func (d DataDisk) GoesAlong() bool { return strings.EqualFold(d.DeleteOption, "Delete") }

// VM is a virtual machine as far as its replacement asks.
type VM struct {
	ID, Name, Location string
	Tags               map[string]string
	Identity           Identity
	Properties         struct {
		State           string `json:"provisioningState"`
		VMID            string `json:"vmId"`
		TimeCreated     string `json:"timeCreated"`
		HardwareProfile struct {
			VMSize string `json:"vmSize"`
		} `json:"hardwareProfile"`
		AvailabilitySet Reference `json:"availabilitySet"`
		NetworkProfile  struct {
			NetworkInterfaces []Reference `json:"networkInterfaces"`
		} `json:"networkProfile"`
		StorageProfile struct {
			OSDisk struct {
				Name        string    `json:"name"`
				ManagedDisk Reference `json:"managedDisk"`
			} `json:"osDisk"`
			DataDisks []DataDisk `json:"dataDisks"`
		} `json:"storageProfile"`
	} `json:"properties"`
}

// Made tells a machine from another of its name: when and as what it was made.
func (v *VM) Made() string { return v.Properties.VMID + " " + v.Properties.TimeCreated }

// OSDisk is the id of the system's disk; empty: it is no managed one.
func (v *VM) OSDisk() string { return v.Properties.StorageProfile.OSDisk.ManagedDisk.ID }

// Interfaces are the ids of its network interfaces.
func (v *VM) Interfaces() []string {
	var out []string
	for _, r := range v.Properties.NetworkProfile.NetworkInterfaces {
		out = append(out, r.ID)
	}
	return out
}

// Interface is a network interface as far as its replacement asks.
type Interface struct {
	ID, Name   string
	Properties struct {
		IPConfigurations []struct {
			Properties struct {
				PrivateIPAddress string      `json:"privateIPAddress"`
				Subnet           Reference   `json:"subnet"`
				Pools            []Reference `json:"loadBalancerBackendAddressPools"`
				NATRules         []Reference `json:"loadBalancerInboundNatRules"`
			} `json:"properties"`
		} `json:"ipConfigurations"`
	} `json:"properties"`
}

// list reads all pages of a list: the SDK has no generic one of what is within a resource, or at a scope. Its pipeline is asked for them.
func list[T any](ctx context.Context, c *Client, what, path string) (out []T, err error) {
	for next := c.endpoint + path; next != ""; {
		req, err := runtime.NewRequest(ctx, http.MethodGet, next)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		resp, err := c.raw.Pipeline().Do(req)
		if err == nil && !runtime.HasStatusCode(resp, http.StatusOK) {
			err = runtime.NewResponseError(resp)
		}
		if err != nil {
			return nil, wrong(what, err)
		}
		var page struct {
			Value    []T
			NextLink string
		}
		if err := runtime.UnmarshalAsJSON(resp, &page); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		out, next = append(out, page.Value...), page.NextLink
	}
	return out, nil
}

// VM reads a machine; nil: there is none.
func (c *Client) VM(ctx context.Context, name string) (*VM, error) {
	var v VM
	return read(ctx, c, c.ID(VirtualMachines, name), &v)
}

// Interface reads a network interface; nil: there is none.
func (c *Client) Interface(ctx context.Context, id string) (*Interface, error) {
	var n Interface
	return read(ctx, c, id, &n)
}

func read[T any](ctx context.Context, c *Client, id string, into *T) (*T, error) {
	got, err := c.resources.GetByID(ctx, id, versionOf(id), nil)
	if missing(err) {
		return nil, nil //nolint:nilnil // as the contract says: there is none
	}
	if err != nil {
		return nil, wrong("read "+Short(id), err)
	}
	raw, err := json.Marshal(got.GenericResource)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", Short(id), err)
	}
	return into, nil
}

// DeleteIf is Delete, and asks before the call is made, and each time before it is made again: that may be an hour after the first. An error of may ends it unsent.
func (c *Client) DeleteIf(ctx context.Context, id string, may func(context.Context) error) error {
	return c.Delete(context.WithValue(ctx, mayKey{}, may), id)
}

// Delete takes a resource away and returns when it is gone; there being none is fine.
func (c *Client) Delete(ctx context.Context, id string) error {
	poller, err := c.resources.BeginDeleteByID(ctx, id, versionOf(id), nil)
	if err == nil {
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: c.every})
	}
	if missing(err) {
		return nil
	}
	return wrong("delete "+Short(id), err)
}
