#!/usr/bin/env bash
# Builds the programs that meet Sluice, once per version, from the Go module proxy, and prints the folder with them.
# docs/crossings.md
# shellcheck source-path=SCRIPTDIR source=../cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/lib.sh"
. "$cluster_dir/build.sh"
. "$cluster_dir/images.sh"
here=$repo/e2e/crossings
# shellcheck source=programs.env
. "$here/programs.env"
key=$(cat "$here/programs.env" "$here"/go/*/main.go | sha256sum | cut -c1-12)
out=$cache_root/crossings-$key
solver_image=localhost/sluice-crossings-acmesolver:$key
kubectl_image=localhost/sluice-crossings-kubectl:$key

# ours NAME MODULE@VERSION…: a program of go/ with these modules
ours() {
  local name=$1 src=$tmp/src/$1; shift
  [ ! -x "$tmp/bin/$name" ] || return 0
  mkdir -p "$src"
  cp "$here/go/$name/main.go" "$src/"
  (
    cd "$src"
    printf 'module crossings/%s\n\ngo 1.25.0\n' "$name" > go.mod
    go get "$@" && go mod tidy && nice -n 19 go build -trimpath -ldflags '-s -w' -o "$tmp/bin/$name" .
  ) > "$tmp/$name.log" 2>&1 || { tail -5 "$tmp/$name.log" >&2; die "building $name failed"; }
  say "built $name"
}

# theirs NAME PACKAGE@VERSION: a program as its own module builds it
theirs() {
  [ ! -x "$tmp/bin/$1" ] || return 0
  GOBIN=$tmp/bin nice -n 19 go install -trimpath -ldflags '-s -w' "$2" > "$tmp/$1.log" 2>&1 || { tail -5 "$tmp/$1.log" >&2; die "building $1 failed"; }
  say "built $1"
}

# With the provider in memory alone, and without OpenShift's source: the modules of the others are many, and not every
# proxy has them all.
external_dns() {
  local name=external-dns src=$tmp/src/external-dns module=sigs.k8s.io/external-dns@v$EXTERNAL_DNS_VERSION
  [ ! -x "$tmp/bin/$name" ] || return 0
  rm -rf "$src"; mkdir -p "$tmp/src"
  cp -r "$(cd "$tmp" && go mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')" "$src"
  chmod -R u+w "$src"
  rm -f "$src"/source/openshift_route*.go
  sed -E -i -e '/^\topenshift "/d' -e '/^\tOpenShiftClient\(\) /d' -e '/^\topenshift(Client|ClientErr|Once) /d' -e '/case types.OpenShiftRoute:/,+1d' \
    -e '/^\/\/ OpenShiftClient generates/,/^}/d' -e '/^func buildOpenShiftRouteSource/,/^}/d' "$src/source/store.go"
  sed -E -i -e '/"sigs.k8s.io\/external-dns\/provider\//{/inmemory/!d}' -e '/^\t\texternaldns\.Provider/{/inmemory/!d}' "$src/provider/factory/provider.go"
  (cd "$src" && nice -n 19 go build -trimpath -ldflags '-s -w' -o "$tmp/bin/$name" .) > "$tmp/$name.log" 2>&1 || { tail -5 "$tmp/$name.log" >&2; die "building $name failed"; }
  say "built $name"
}

build() {
  [ ! -e "$out/done" ] || return 0
  command -v go > /dev/null || die "the programs are built with Go, and there is no go in PATH"
  tmp=$out.building
  # What an interrupted build has finished is kept.
  mkdir -p "$tmp/bin"
  export CGO_ENABLED=0 GOFLAGS=-mod=mod GOTOOLCHAIN=local
  say "building cert-manager, Pebble, external-dns, helm, kstatus and the Lua that runs Argo CD's rules (once; ten minutes on two cores)"
  local certManager=github.com/cert-manager/cert-manager@v$CERT_MANAGER_VERSION directory
  directory=$(cd "$tmp" && go mod download -json "$certManager" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  [ -n "$directory" ] || die "the Go module proxy does not give $certManager"
  mkdir -p "$tmp/crds"
  cp "$directory"/deploy/crds/*.yaml "$tmp/crds/"; chmod -R u+w "$tmp/crds"
  ours acmesolver "$certManager"
  theirs pebble "github.com/letsencrypt/pebble/v2/cmd/pebble@v$PEBBLE_VERSION"
  theirs pebble-challtestsrv "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv@v$PEBBLE_VERSION"
  ours cert-manager "$certManager"
  theirs helm "helm.sh/helm/v4/cmd/helm@v$HELM_VERSION"
  ours health "sigs.k8s.io/cli-utils@v$KSTATUS_VERSION" "github.com/yuin/gopher-lua@v$GOPHER_LUA_VERSION"
  external_dns
  rm -rf "$tmp/src"
  mkdir -p "$tmp/solver" "$tmp/kubectl"
  cp "$tmp/bin/acmesolver" "$tmp/solver/"
  printf 'FROM scratch\nCOPY acmesolver /acmesolver\nUSER 65532:65532\nENTRYPOINT ["/acmesolver"]\n' > "$tmp/solver/Dockerfile"
  # With a shell, for the hook of docs/gitops.md; kubectl is one of the names of the node's own program.
  cp "$binaries/kube-node" "$tmp/kubectl/kubectl"
  printf 'FROM localhost/sluice-build\nCOPY kubectl /bin/kubectl\nUSER 65532:65532\n' > "$tmp/kubectl/Dockerfile"
  with_lock "$cache_root/images.lock" "another build of images is under way: waiting for it" images
  echo "$solver_image" > "$tmp/solver-image"
  echo "$kubectl_image" > "$tmp/kubectl-image"
  rm -rf "$tmp/kubectl" "$tmp/solver"
  touch "$tmp/done"
  rm -rf "$out"; mv "$tmp" "$out"
}

images() {
  buildah_ bud -q -t "$solver_image" "$tmp/solver" > /dev/null
  archive "$solver_image" "$tmp/acmesolver.tar"
  buildah_ bud -q -t "$kubectl_image" "$tmp/kubectl" > /dev/null
  archive "$kubectl_image" "$tmp/kubectl.tar"
}

install_packages
build_binaries
# The image that has a shell.
build_images echo
with_lock "$cache_root/crossings.lock" "another build of the programs is under way: waiting for it" build
find "$cache_root" -maxdepth 1 -name 'crossings-*' ! -path "$out" ! -name '*.building' -exec rm -rf {} +
echo "$out"
