# shellcheck shell=bash
# Builds the one binary that is a whole Kubernetes node, and the pause program, once per version.

# packages the Go compiler has still to finish are not known beforehand: count the finished against the list
go_progress() { # LOG TOTAL PID
  local total=$2 log=$1 pid=$3 started=$SECONDS finished
  while kill -0 "$pid" 2>/dev/null; do
    finished=$(wc -l < "$log" 2>/dev/null || echo 0)
    progress "building Kubernetes $KUBERNETES_VERSION: $finished of $total packages, $((SECONDS - started)) s (once; 5 minutes on 2 cores)"
    sleep 1
  done
}

build_in() { # DIR: makes DIR/kube-node and DIR/pause
  local out=$1 src=$1/src v=$KUBERNETES_VERSION
  export CGO_ENABLED=0 GOFLAGS=-mod=mod GOTOOLCHAIN=local
  mkdir -p "$src/node" "$src/pause"
  cp "$cluster_dir/go/node/main.go" "$src/node/"
  cp "$cluster_dir/go/pause/main.go" "$src/pause/"
  printf 'module pause\n\ngo 1.25.0\n' > "$src/pause/go.mod"
  (cd "$src/pause" && go build -trimpath -ldflags '-s -w' -o "$out/pause" .)
  cd "$src/node"
  printf 'module node\n\ngo 1.25.0\n' > go.mod
  say "fetching the modules of Kubernetes $v and CoreDNS $COREDNS_VERSION"
  # k8s.io/kubernetes requires its staging modules at v0.0.0: each is replaced by its published version.
  go mod download -json "k8s.io/kubernetes@v$v" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p' | xargs cat |
    sed -n "s#^\t*\(k8s.io/[a-z-]*\) => ./staging.*#replace \1 => \1 v0.${v#1.}#p" >> go.mod
  # CoreDNS raises klog: it must be there before anything is compiled.
  go get "k8s.io/kubernetes@v$v" "github.com/coredns/coredns@v$COREDNS_VERSION" > "$out/go.log" 2>&1 || { tail -5 "$out/go.log" >&2; die "go get failed"; }
  go mod tidy >> "$out/go.log" 2>&1 || { tail -5 "$out/go.log" >&2; die "go mod tidy failed"; }
  local total pid
  total=$(go list -deps . 2>/dev/null | wc -l)
  local minor=${v#*.}; minor=${minor%%.*}
  go build -v -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$v -X k8s.io/component-base/version.gitMajor=${v%%.*} -X k8s.io/component-base/version.gitMinor=$minor" \
    -o "$out/kube-node" . > "$out/packages.log" 2>&1 &
  pid=$!
  trap 'kill "$pid" 2>/dev/null; say "the build was interrupted; the next one goes on from what is compiled"; exit 130' INT TERM
  go_progress "$out/packages.log" "$total" "$pid"
  wait "$pid" || { grep -v '^[a-z0-9.]*/' "$out/packages.log" | tail -5 >&2; die "go build failed: $out/packages.log"; }
  trap - INT TERM
}

build_binaries_locked() {
  [ ! -x "$binaries/kube-node" ] || return 0
  local tmp=$binaries.building
  rm -rf "$tmp"; mkdir -p "$tmp"
  (build_in "$tmp")
  rm -rf "$tmp/src"
  mkdir -p "$tmp/bin"
  local c
  for c in etcd coredns kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do ln -s kube-node "$tmp/$c"; done
  ln -s ../kube-node "$tmp/bin/kubectl"
  rm -rf "$binaries"; mv "$tmp" "$binaries"
  say "built $(du -h "$binaries/kube-node" | cut -f1) of Kubernetes"
}

# Safe against an interruption (nothing half-built is ever used) and against two at once.
build_binaries() {
  [ ! -x "$binaries/kube-node" ] || return 0
  require_go
  with_lock "$cache_root/build.lock" "another build is under way: waiting for it" build_binaries_locked
}

install_packages() {
  local missing=() p
  for p in containerd runc containernetworking-plugins iptables iproute2 buildah mmdebstrap openssl procps util-linux curl; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "the local node needs ${missing[*]} and there is no apt-get; $use_another"
  say "installing Debian packages: ${missing[*]}"
  local log=$cache_root/apt.log; mkdir -p "$cache_root"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > "$log" 2>&1 ||
    { tail -5 "$log" >&2; die "installing packages failed: $log"; }
}
