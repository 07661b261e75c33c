# Shared by the scripts of this folder: places, messages, locks. Sourced, never run.
set -euo pipefail

cluster_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$cluster_dir/../.." && pwd)
# shellcheck source=versions.env
. "$cluster_dir/versions.env"

state=$repo/.sluice
namespace=sluice-system
cache_root=${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
binaries_key=$(cat "$cluster_dir/versions.env" "$cluster_dir"/go/*/main.go | sha256sum | cut -c1-12)
binaries=$cache_root/node-$binaries_key
images_cache=$cache_root/images

# The node's own network. RFC 2544 sets 198.18.0.0/15 aside for benchmarks: nobody routes it.
pod_cidr=198.18.0.0/17
service_cidr=198.19.0.0/16
node_ip=198.18.0.1
link_host=sluice-host
link_node=sluice-node
link_host_ip=198.18.255.1
link_node_ip=198.18.255.2
# One node per machine: two would share these addresses.
machine_file=/run/sluice-node

say() { printf '%s\n' "sluice: $*" >&2; }
die() { printf '%s\n' "sluice: $*" >&2; exit 1; }

# progress TEXT: one line that rewrites itself on a terminal, a line per call in a pipe
progress() {
  if [ -t 2 ]; then printf '\r\033[Ksluice: %s' "$*" >&2; else say "$*"; fi
}
progress_end() { [ ! -t 2 ] || printf '\n' >&2; }

# with_lock FILE MESSAGE COMMAND…: runs the command while holding an exclusive lock; says so when it has to wait
with_lock() {
  local file=$1 message=$2; shift 2
  mkdir -p "$(dirname "$file")"
  local fd
  exec {fd}>"$file"
  if ! flock -n "$fd"; then say "$message"; flock "$fd"; fi
  local rc=0
  "$@" || rc=$?
  exec {fd}>&-
  return "$rc"
}

use_another="or use another cluster: SLUICE_CLUSTER=<kubeconfig> (see docs/local-cluster.md)"
require_local_node() {
  [ "$(uname -s)" = Linux ] || die "the local node needs Linux; $use_another"
  [ "$(id -u)" = 0 ] || die "the local node needs root; run as root, $use_another"
}
require_go() {
  [ -x "$binaries/kube-node" ] || command -v go >/dev/null || die "the local node is built once with Go, and there is no go in PATH; install Go 1.25 or newer, $use_another"
}

# The cluster that is spoken to. An ambient KUBECONFIG is never touched: it may be somebody's production.
unset KUBECONFIG
kubeconfig=${SLUICE_CLUSTER:-$state/kubeconfig}
kube() { kubectl --kubeconfig "$kubeconfig" "$@"; }
