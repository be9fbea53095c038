package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
)

// walk takes a virtual machine through its life with the SDK's default options, each operation polled to its end.
func walk(ctx context.Context, vms *armcompute.VirtualMachinesClient, group, name string) error {
	model := armcompute.VirtualMachine{Location: to.Ptr("westeurope"), Properties: &armcompute.VirtualMachineProperties{
		HardwareProfile: &armcompute.HardwareProfile{VMSize: to.Ptr(armcompute.VirtualMachineSizeTypesStandardD2SV3)},
	}}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"create", func() error {
			p, err := vms.BeginCreateOrUpdate(ctx, group, name, model, nil)
			return done(ctx, p, err)
		}},
		{"powerOff", func() error { p, err := vms.BeginPowerOff(ctx, group, name, nil); return done(ctx, p, err) }},
		{"start", func() error { p, err := vms.BeginStart(ctx, group, name, nil); return done(ctx, p, err) }},
		{"restart", func() error { p, err := vms.BeginRestart(ctx, group, name, nil); return done(ctx, p, err) }},
		{"deallocate", func() error { p, err := vms.BeginDeallocate(ctx, group, name, nil); return done(ctx, p, err) }},
		{"start again", func() error { p, err := vms.BeginStart(ctx, group, name, nil); return done(ctx, p, err) }},
		{"patch", func() error {
			p, err := vms.BeginUpdate(ctx, group, name, armcompute.VirtualMachineUpdate{Tags: map[string]*string{"a": to.Ptr("b")}}, nil)
			return done(ctx, p, err)
		}},
		{"delete", func() error { p, err := vms.BeginDelete(ctx, group, name, nil); return done(ctx, p, err) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func done[T any](ctx context.Context, p *runtime.Poller[T], err error) error {
	if err == nil {
		_, err = p.PollUntilDone(ctx, nil)
	}
	return err
}

// virtually carries the SDK's calls, and has it wait by the twin's clock: that is put forward by as long as the SDK was told to wait, or as long as a
// client waits that is told nothing, and the SDK is told of a millisecond. What it sends, and when by the twin's clock, is as it would be.
type virtually struct {
	ready     ready
	frequency time.Duration // of polls that nothing is told of; 0: the Go SDK's own
}

// unasked is how long the SDK waits between polls when nothing is told (azcore, runtime.PollUntilDoneOptions).
const unasked = 30 * time.Second

func (v *virtually) Do(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	wait := time.Duration(0)
	switch told, err := strconv.Atoi(answer.Header.Get("Retry-After")); {
	case err == nil:
		wait = time.Duration(told) * time.Second
	case answer.StatusCode == http.StatusAccepted || answer.Header.Get("Azure-AsyncOperation") != "" || strings.Contains(string(body), `"status":"InProgress"`):
		if wait = v.frequency; wait == 0 {
			wait = unasked
		}
	}
	if wait > 0 {
		answer.Header.Del("Retry-After")
		answer.Header.Set("retry-after-ms", "1")
		err = v.advance(r.Context(), wait)
	}
	return answer, err
}

// advance puts the twin's clock forward.
func (v *virtually) advance(ctx context.Context, d time.Duration) error {
	body, err := json.Marshal(map[string]string{"advance": d.String()})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.ready.Control+"/_twin/clock", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+v.ready.ControlToken)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the twin's clock: %s", answer.Status)
	}
	return nil
}
