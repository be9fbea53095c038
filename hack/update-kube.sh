#!/usr/bin/env bash
# Writes hack/kube/v1.NN: the nested module that builds the commands of one Kubernetes release; and prints the checksums of their downloads.
# k8s.io/kubernetes requires its staging repositories at v0.0.0, so a build needs one replace a repository.
#
#   hack/update-kube.sh v1.36.3
set -euo pipefail
version=${1:?usage: hack/update-kube.sh vX.Y.Z}
staging="v0.${version#v1.}"
dir="$(cd "$(dirname "$0")" && pwd)/kube/${version%.*}"
gomod=$(go mod download -json "k8s.io/kubernetes@${version}" | sed -n 's/.*"GoMod": "\(.*\)",/\1/p')
mkdir -p "$dir"
{
  echo "// Builds the commands of Kubernetes ${version}; written by hack/update-kube.sh."
  echo "module drydock.dev/drydock/hack/kube/${version%.*}"
  echo
  echo "go 1.26"
  echo
  echo "require k8s.io/kubernetes ${version}"
  echo
  echo "replace ("
  sed -n 's/^[[:space:]]*\(k8s\.io\/[a-z0-9-]*\) v0\.0\.0$/\1/p' "$gomod" | sort -u |
    while read -r m; do echo "	$m => $m ${staging}"; done
  echo ")"
  echo
  echo "tool ("
  for c in kube-apiserver kube-controller-manager kube-scheduler kubelet kubeadm kube-proxy kubectl; do
    echo "	k8s.io/kubernetes/cmd/$c"
  done
  echo ")"
} > "$dir/go.mod"
rm -f "$dir/go.sum"
(cd "$dir" && go mod tidy)
echo "For fixtures/versions.yaml, the checksums as the release server publishes them now:"
for arch in amd64 arm64; do
  for c in kube-apiserver kube-controller-manager kube-scheduler kubelet kubeadm kube-proxy kubectl; do
    sum=$(curl -fsSL --max-time 20 "https://dl.k8s.io/release/$version/bin/linux/$arch/$c.sha256") ||
      { echo "  it does not answer: leave sha256 out, and downloads are compared with what it publishes" >&2; exit 0; }
    echo "          $arch/$c: $sum"
  done
done
