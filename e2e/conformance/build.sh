#!/usr/bin/env bash
# Builds the official conformance suite and its echo server at the pinned commit, once per commit and image name, and
# prints the folder with them. README.md
# usage: build.sh [IMAGE]    the image that the suite's backends run; default: the one that is built here
# shellcheck source-path=SCRIPTDIR source=../cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/lib.sh"
. "$cluster_dir/build.sh"
. "$cluster_dir/images.sh"
# shellcheck source=suite.env
. "$repo/e2e/conformance/suite.env"

image=${1:-localhost/sluice-conformance-echo:${SUITE_COMMIT:0:12}}
out=$cache_root/conformance-${SUITE_COMMIT:0:12}-$(printf '%s' "$image" | sha256sum | cut -c1-8)

# The source at the pinned commit, into the folder. CONFORMANCE_SOURCE is a git repository (or its git directory) that has
# the commit, for machines that cannot have the module from a proxy.
fetch() { # FOLDER
  local module
  mkdir -p "$1"
  if [ -n "${CONFORMANCE_SOURCE:-}" ]; then
    git -C "$CONFORMANCE_SOURCE" archive "$SUITE_COMMIT" | tar -x -C "$1" || die "CONFORMANCE_SOURCE=$CONFORMANCE_SOURCE is no git repository with commit $SUITE_COMMIT"
    return
  fi
  say "fetching $SUITE_MODULE@$SUITE_VERSION"
  module=$(cd "$1" && GOFLAGS=-mod=mod go mod download -json "$SUITE_MODULE@$SUITE_VERSION" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p') || true
  [ -n "$module" ] || die "the Go module proxy does not give $SUITE_MODULE; clone its repository and name it: CONFORMANCE_SOURCE=<clone> make conformance"
  cp -r "$module/." "$1" && chmod -R u+w "$1"
}

# The one line of the suite that is changed: the local node pulls from no registry.
replace_image() { # FOLDER
  local file=$1/test/kubernetes/deployment.go
  [ "$(grep -c '^const EchoContainer = ' "$file")" = 1 ] || die "the suite does not name its echo image where it did: $file"
  sed -i "s|^const EchoContainer = .*|const EchoContainer = \"$image\"|" "$file"
}

build() {
  local tmp=$out.building
  [ ! -e "$out/done" ] || return 0
  command -v go > /dev/null || die "the suite is built with Go, and there is no go in PATH"
  rm -rf "$tmp" "$out"
  fetch "$tmp/suite"
  replace_image "$tmp/suite"
  cd "$tmp/suite"
  export CGO_ENABLED=0 GOFLAGS=-mod=mod GOTOOLCHAIN=local
  say "building the conformance suite (once; a minute or two)"
  # As the suite's own Makefile and Dockerfile build them.
  go test -c -trimpath -ldflags='-buildid= -w' -o "$tmp/suite.test" . > "$tmp/go.log" 2>&1 || { tail -5 "$tmp/go.log" >&2; die "building the suite failed"; }
  mkdir -p "$tmp/image"
  go build -trimpath -ldflags='-buildid= -s -w' -o "$tmp/image/echoserver" ./images/echoserver >> "$tmp/go.log" 2>&1 || { tail -5 "$tmp/go.log" >&2; die "building the echo server failed"; }
  printf 'FROM scratch\nCOPY echoserver /echoserver\nUSER 65532:65532\nENTRYPOINT ["/echoserver"]\n' > "$tmp/image/Dockerfile"
  buildah_ bud -q -t "$image" "$tmp/image" > /dev/null
  archive "$image" "$tmp/echoserver.tar"
  touch "$tmp/done"
  mv "$tmp" "$out"
}

install_packages
# Old builds would fill the disk, and buildah's store is the images' own.
with_lock "$cache_root/images.lock" "another build of images is under way: waiting for it" build
find "$cache_root" -maxdepth 1 -name 'conformance-*' ! -path "$out" ! -name '*.building' -exec rm -rf {} +
echo "$out"
