package azure

import (
	"net/http"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// FaultRequest is what the control listener is asked for: a fault with durations as people write them.
type FaultRequest struct {
	Kind       string   `json:"kind"`
	Operations []string `json:"operations"`
	Group      string   `json:"operationGroup"`
	Principal  string   `json:"principal"`
	Polls      bool     `json:"polls"`
	Resource   string   `json:"resource"`
	Status     int      `json:"status"`
	RetryAfter int      `json:"retryAfter"`
	Delay      string   `json:"delay"`
	PerMinute  float64  `json:"perMinute"`
	Model      string   `json:"model"`
	Clusters   int      `json:"clusters"`
	ScaleSets  int      `json:"scaleSets"`
	Disks      int      `json:"disks"`
	Code       string   `json:"code"`
	Message    string   `json:"message"`
	Location   string   `json:"location"`
	Zone       string   `json:"zone"`
	Size       string   `json:"size"`
	Answer     string   `json:"answer"`
	Count      int      `json:"count"`
	For        string   `json:"for"`
}

func (t *Twin) armFault(r *http.Request) (any, error) {
	var p FaultRequest
	if err := strict(r, &p); err != nil {
		return nil, err
	}
	f := Fault{Kind: p.Kind, Operations: p.Operations, OperationGroup: p.Group, Principal: p.Principal, Polls: p.Polls, Resource: p.Resource, Status: p.Status, RetryAfter: p.RetryAfter, Count: p.Count, PerMinute: p.PerMinute,
		Model: p.Model, Clusters: p.Clusters, ScaleSets: p.ScaleSets, Disks: p.Disks, Code: p.Code, Message: p.Message, Location: p.Location, Zone: p.Zone, Size: p.Size, Answer: p.Answer}
	for _, d := range []struct {
		text string
		into *time.Duration
		name string
	}{{p.Delay, &f.Delay, "delay"}, {p.For, &f.For, "for"}} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.into, err = time.ParseDuration(d.text); err != nil {
			return nil, cluster.Usagef("%s is %q: a duration, such as 30s", d.name, d.text)
		}
	}
	return t.Arm(f)
}

// disarm ends the faults that are named, or all, and tells what each has struck.
func (t *Twin) disarm(r *http.Request) (any, error) {
	id := r.URL.Query().Get("id")
	over := t.Disarm(id)
	if id != "" && len(over) == 0 {
		return nil, cluster.Usagef("no fault %s is armed", id)
	}
	return over, nil
}
