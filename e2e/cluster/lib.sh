# shellcheck shell=bash
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
bridge_address=02:00:c6:12:00:01
link_host=sluice-host
link_node=sluice-node
link_host_ip=198.18.255.1
link_node_ip=198.18.255.2
# One node per machine: two would share these addresses.
machine_file=/run/sluice-node
machine_lock=/run/sluice-node.lock

# On a terminal a message takes the place of the progress line.
if [ -t 2 ]; then line_start=$'\r\033[K'; else line_start=''; fi
say() { printf '%s\n' "${line_start}sluice: $*" >&2; }
die() { say "$@"; exit 1; }

# progress TEXT: one line that rewrites itself on a terminal; in a pipe a line at most every five seconds
last_progress=-5
progress() {
  if [ -t 2 ]; then printf '%s' "${line_start}sluice: $*" >&2; return; fi
  [ $((SECONDS - last_progress)) -ge 5 ] || return 0
  last_progress=$SECONDS
  say "$*"
}

# with_lock FILE MESSAGE COMMAND…: runs the command while holding an exclusive lock; says so when it has to wait
with_lock() {
  local file=$1 message=$2; shift 2
  mkdir -p "$(dirname "$file")"
  local fd
  exec {fd}>"$file"
  if ! flock -n "$fd"; then say "$message"; flock "$fd"; fi
  # Not behind a ||, which would switch set -e off in all that runs here. A shell that ends gives its locks back.
  "$@"
  exec {fd}>&-
}

# without_locks COMMAND…: becomes the command, which may outlive us and must not keep our locks
without_locks() {
  local fd
  for fd in "/proc/$BASHPID/fd/"*; do
    fd=${fd##*/}
    [ "$fd" -le 2 ] || eval "exec $fd>&-"
  done
  exec "$@"
}

use_another="use another cluster: SLUICE_CLUSTER=<kubeconfig> (see docs/local-cluster.md)"
require_local_node() {
  [ "$(uname -s)" = Linux ] || die "the local node needs Linux; $use_another"
  [ "$(id -u)" = 0 ] || die "the local node needs root; run as root, or $use_another"
}
require_go() {
  local minor
  [ ! -x "$binaries/kube-node" ] || return 0
  command -v go >/dev/null || die "the local node is built once with Go, and there is no go in PATH; install Go 1.25 or newer, or $use_another"
  minor=$(GOTOOLCHAIN=local go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  [ "${minor:-99}" -ge 25 ] || die "the local node is built with Go 1.25 or newer, and go in PATH is 1.$minor; install a newer one, or $use_another"
}

# The cluster that is spoken to. An ambient KUBECONFIG is never touched: it may be somebody's production.
unset KUBECONFIG
kubeconfig=${SLUICE_CLUSTER:-$state/kubeconfig}
kube() { kubectl --kubeconfig "$kubeconfig" "$@"; }
