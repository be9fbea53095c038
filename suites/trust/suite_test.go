// Package trust holds Drydock to what it must never do to whoever runs it: reach the host from inside a lab, or touch what belongs to another run.
package trust

import (
	"testing"

	"drydock.dev/drydock/suites/bootstrap"
)

var suite bootstrap.Suite

func TestTrust(t *testing.T) { bootstrap.Run(t, "Trust", &suite) }
