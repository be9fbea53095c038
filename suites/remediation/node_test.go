package remediation

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"

	"drydock.dev/drydock/harness/experiment"
)

var _ = DescribeTable("a scenario of nodes and their certificates ends GO",
	func(ctx context.Context, name string) { suite.EndsGo(ctx, name, experiment.Options{}) },
	Entry(nil, "recover-node-kubelet", Label("tier: full", "fault: service", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "recover-node-panic", Label("tier: full", "fault: node", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "recover-node-certificate", Label("tier: full", "fault: service", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "expired-certificates", Label("tier: full", "fault: service", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
)
