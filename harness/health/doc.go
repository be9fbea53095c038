// Package health judges: pure functions from what harness/observe has read and harness/load has recorded to verdicts of three values. What a well
// cluster is stands here once; nothing in this package touches a cluster.
package health
