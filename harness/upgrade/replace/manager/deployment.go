package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armdeployments"
)

// Deploy carries a template out, by what its parameters say, and returns when all that it makes is there. A deployment of that name that runs already is
// waited for instead: its name says what it is for, and nobody else gives it.
func (c *Client) Deploy(ctx context.Context, name string, template any, parameters map[string]any) error {
	values := map[string]*armdeployments.DeploymentParameter{}
	for k, v := range parameters {
		values[k] = &armdeployments.DeploymentParameter{Value: v}
	}
	poller, err := c.deployments.BeginCreateOrUpdate(ctx, c.name, name, armdeployments.Deployment{Properties: &armdeployments.DeploymentProperties{
		Mode: to.Ptr(armdeployments.DeploymentModeIncremental), Template: template, Parameters: values,
	}}, nil)
	if said := answered(err); said != nil && said.StatusCode == http.StatusConflict && said.ErrorCode == "DeploymentActive" {
		_, err := c.AwaitDeployment(ctx, name)
		return err
	}
	if err == nil {
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: c.every})
	}
	return c.failed(ctx, name, err)
}

// AwaitDeployment waits for a deployment that somebody has begun, and says whether there is one. It fails as that did.
func (c *Client) AwaitDeployment(ctx context.Context, name string) (there bool, err error) {
	for {
		got, err := c.deployments.Get(ctx, c.name, name, nil)
		if missing(err) {
			return false, nil
		}
		if err != nil {
			return false, wrong("read deployment "+name, err)
		}
		state := ""
		if p := got.Properties; p != nil && p.ProvisioningState != nil {
			state = string(*p.ProvisioningState)
		}
		switch state {
		case Succeeded:
			return true, nil
		case Failed, Canceled:
			said := ""
			if got.Properties.Error != nil {
				said = told(got.Properties.Error)
			}
			return true, c.failed(ctx, name, fmt.Errorf("it is %s: %s", state, said))
		}
		if err := pause(ctx, c.every); err != nil {
			return true, fmt.Errorf("await deployment %s: %w; last seen: it is %s", name, err, cmp.Or(state, "in no state"))
		}
	}
}

// failureError is the failure of a deployment that was begun: of what it deploys, and not of a call of its own.
type failureError struct{ error }

// Unwrap gives what failed.
func (e failureError) Unwrap() error { return e.error }

// DeploymentFailed reports whether an error is that of a deployment that was begun and has ended so: it can be begun again.
func DeploymentFailed(err error) bool {
	var f failureError
	return errors.As(err, &f)
}

// failed says which of its resources a deployment has failed with: its own error only says that one has.
func (c *Client) failed(ctx context.Context, name string, err error) error {
	if err == nil {
		return nil
	}
	attempt := "deployment " + name
	var stopped *StoppedError
	if errors.As(err, &stopped) || ctx.Err() != nil || refusedAtOnce(err) {
		return wrong(attempt, err)
	}
	var what []string
	pages := c.operations.NewListPager(c.name, name, nil)
	for pages.More() {
		page, listErr := pages.NextPage(ctx)
		if listErr != nil {
			break // what is known already says that it has failed
		}
		for _, op := range page.Value {
			if text := childFailure(op); text != "" {
				what = append(what, text)
			}
		}
	}
	err = wrong(attempt, err)
	if len(what) > 0 {
		err = fmt.Errorf("%s: %s", attempt, strings.Join(what, "; "))
	}
	return failureError{err}
}

// refusedAtOnce reports whether it was the call that was refused, and nothing was begun.
func refusedAtOnce(err error) bool {
	said := answered(err)
	return said != nil && said.StatusCode >= http.StatusBadRequest && said.RawResponse != nil && said.RawResponse.Request != nil && said.RawResponse.Request.Method == http.MethodPut
}

// childFailure says how an operation of a deployment has failed; empty: it has not.
func childFailure(op *armdeployments.DeploymentOperation) string {
	p := op.Properties
	if p == nil || p.ProvisioningState == nil || *p.ProvisioningState != Failed {
		return ""
	}
	what, why := "a resource", ""
	if t := p.TargetResource; t != nil && t.ResourceType != nil && t.ResourceName != nil {
		what = (*t.ResourceType)[strings.LastIndexByte(*t.ResourceType, '/')+1:] + "/" + *t.ResourceName
	}
	if m := p.StatusMessage; m != nil && m.Error != nil {
		why = told(m.Error)
	}
	return what + ": " + why
}

// told is an error of a deployment with its details.
func told(e *armdeployments.ErrorResponse) string {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	out := strings.Trim(text(e.Code)+": "+text(e.Message), ": ")
	for _, d := range e.Details {
		out += "; " + told(d)
	}
	return out
}
