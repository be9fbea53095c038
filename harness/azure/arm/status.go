package arm

// The states of operations and of resources.
const (
	InProgress = "InProgress"
	Succeeded  = "Succeeded"
	Failed     = "Failed"
	Canceled   = "Canceled"
	Deleting   = "Deleting" // of a resource only
)
