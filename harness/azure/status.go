package azure

// The states of operations and of resources.
const (
	inProgress = "InProgress"
	succeeded  = "Succeeded"
	failed     = "Failed"
	canceled   = "Canceled"
)
