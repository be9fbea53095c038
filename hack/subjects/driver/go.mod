module drydock.dev/drydock/hack/subjects/driver

go 1.26.0
