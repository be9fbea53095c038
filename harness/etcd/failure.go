package etcd

import (
	"errors"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"drydock.dev/drydock/harness/cluster"
)

// FailureOf tells what kind of failure an error of an etcd client is. gRPC keeps of a connection's error its text alone, so that is what
// tells a refusal from a connection that broke.
func FailureOf(err error) cluster.Failure {
	if err == nil {
		return ""
	}
	var answered rpctypes.EtcdError
	if errors.As(err, &answered) {
		return cluster.Answered
	}
	s, ok := status.FromError(err)
	if !ok {
		return cluster.FailureOf(err)
	}
	switch {
	case s.Code() == codes.DeadlineExceeded:
		return cluster.Deadline
	case s.Code() != codes.Unavailable:
		return cluster.Answered
	case strings.Contains(s.Message(), "connection refused"):
		return cluster.Refused
	case strings.Contains(s.Message(), "EOF"), strings.Contains(s.Message(), "reset by peer"), strings.Contains(s.Message(), "error reading from server"):
		return cluster.Reset
	default:
		return cluster.Other
	}
}

// Refused reports whether etcd has said that what it was asked for is not done, nor will be. Of a time-out and of a lost leader that is not known, nor of a full
// database: etcd also says so of a write that it has done.
func Refused(err error) bool {
	var answered rpctypes.EtcdError
	return errors.As(err, &answered) &&
		slices.Contains([]codes.Code{codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition, codes.PermissionDenied, codes.Unauthenticated}, answered.Code())
}
