# Sourced by what compiles this tree. One way to do it, static and without the checkout's path, so that lint, bin/drydock, the suites and every other
# checkout find in Go's build cache what any of them has compiled: a fresh clone compiles what differs.
command -v go >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/dl" >&2; exit 2; }
GOFLAGS="$(go env GOFLAGS) -trimpath"
export GOFLAGS CGO_ENABLED=0
