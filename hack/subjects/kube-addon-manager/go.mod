module drydock.dev/drydock/hack/subjects/kube-addon-manager

go 1.26.0
