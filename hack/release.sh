#!/usr/bin/env bash
# Makes a release of the commit that is checked out, into DIR (dist): for each architecture an archive with the static program and a bill of materials, a
# container image for CI (amd64), and SHA256SUMS of all. The same commit makes the same files; --check makes the programs' archives a second time, of a clone
# in another directory, and compares.
#
#   hack/release.sh [--check] [--no-image] [--arch "amd64 arm64"] [DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/env.sh
check=no image=yes archs="amd64 arm64" dist=dist
while [ $# -gt 0 ]; do
  case $1 in
    --check) check=yes ;;
    --no-image) image=no ;;
    --arch) archs=${2:?--arch "amd64 arm64"}; shift ;;
    -*) echo "unknown flag $1; known: --check, --no-image, --arch" >&2; exit 2 ;;
    *) dist=$1 ;;
  esac
  shift
done
[ -z "$(git status --porcelain)" ] || { echo "there are changes that no commit has: what would be released?" >&2; exit 2; }
version=$(git describe --tags --always)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
mkdir -p "$dist"
dist=$(cd "$dist" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# sources DIR: clones the commit, for what is released is what is committed; and go build stamps the commit of a clone, but not that of a worktree.
sources() {
  git clone -q --no-checkout . "$1"
  git -C "$1" checkout -q "$(git rev-parse HEAD)"
}

# archive SOURCES ARCH TO: builds the program in SOURCES and packs it.
archive() {
  local name="drydock-$version-linux-$2"
  local root="$work/root/$name"
  rm -rf "$work/root"
  mkdir -p "$root/docs"
  (cd "$1" && GOOS=linux GOARCH=$2 go build -buildvcs=true -ldflags "-s -w" -o "$root/drydock" .)
  cp "$1"/{LICENSE,README.md} "$root/"
  cp "$1"/docs/*.md "$root/docs/"
  chmod -R u=rwX,go=rX "$root"
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --format=ustar -C "$work/root" -cf - "$name" | gzip -9n >"$3/$name.tar.gz"
}

(cd hack/audit && go build -o "$work/audit" .)
sources "$work/sources"
for arch in $archs; do
  echo "== linux/$arch"
  archive "$work/sources" "$arch" "$dist"
  "$work/audit" sbom "$work/root/drydock-$version-linux-$arch/drydock" >"$dist/drydock-$version-linux-$arch.cdx.json"
  if [ "$arch" = amd64 ] && [ "$image" = yes ]; then
    go run ./hack/image -program "$work/root/drydock-$version-linux-$arch/drydock" -ref "drydock:$version" -o "$dist/drydock-$version-image-$arch.tar"
  fi
done
if [ "$check" = yes ]; then
  echo "== once more, elsewhere"
  mkdir "$work/again"
  sources "$work/elsewhere/sources"
  for arch in $archs; do
    archive "$work/elsewhere/sources" "$arch" "$work/again"
    cmp "$dist/drydock-$version-linux-$arch.tar.gz" "$work/again/drydock-$version-linux-$arch.tar.gz" || { echo "linux/$arch: another archive of the same commit" >&2; exit 1; }
  done
fi
(cd "$dist" && rm -f SHA256SUMS && sha256sum drydock-"$version"-* >"$work/SHA256SUMS" && mv "$work/SHA256SUMS" . && cat SHA256SUMS)
