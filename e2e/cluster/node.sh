# shellcheck shell=bash
# Starting, stopping and disturbing the node. Its processes live in namespaces of their own: ending process 1 ends them all.
node=$state/node
components="etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy containerd coredns"

node_pid() { # prints the node's process 1 as this machine sees it; fails if there is none
  local pid
  pid=$(cat "$node/init.pid" 2>/dev/null) || return 1
  # The number may belong to another process by now.
  tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -q "$cluster_dir/inner.sh" || return 1
  echo "$pid"
}
# Up means: its start went to the end. What an interrupted start left is ended by the next up or down.
node_up() { node_pid >/dev/null && [ -e "$node/ready" ]; }
in_node() { local pid; pid=$(node_pid) || die "the local node is not up; make up"; nsenter -t "$pid" -m -n -p -u -- "$@"; }
node_ctr() { in_node ctr -a "$node/run/containerd.sock" -n k8s.io "$@"; }

refuse_second_node() {
  local pid where
  [ -r "$machine_file" ] || return 0
  read -r pid where < "$machine_file"
  [ "$where" != "$repo" ] || return 0
  kill -0 "$pid" 2>/dev/null || return 0
  tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -q inner.sh || return 0
  die "the local node of another checkout is up, and one machine holds one; end it with: make -C $where down"
}

start_node() {
  install_packages
  build_binaries
  export PATH="$binaries/bin:$PATH"
  build_images
  end_node
  (configure_node)
  rm -f "$node"/hold/* "$state"/log/*.log
  progress "starting Kubernetes $KUBERNETES_VERSION"
  local outer pid=
  # A start that fails or is interrupted leaves nothing but its logs.
  trap 'end_node; say "the node did not come up; it was ended again"' EXIT
  (without_locks setsid nohup unshare --mount --net --pid --uts --fork --kill-child --mount-proc bash "$cluster_dir/inner.sh") \
    > "$state/log/node.log" 2>&1 < /dev/null &
  outer=$!
  # It goes on without us, and its end is no news of this shell.
  disown
  for _ in $(seq 100); do pid=$(pgrep -P "$outer" || true); [ -z "$pid" ] || break; sleep 0.05; done
  [ -n "$pid" ] || die "the node's namespaces could not be made: $state/log/node.log"
  echo "$pid" > "$node/init.pid"; echo "$pid $repo" > "$machine_file"
  until nsenter -t "$pid" -n ip link show sluice0 >/dev/null 2>&1; do kill -0 "$pid" 2>/dev/null || die "the node died: $state/log/node.log"; sleep 0.05; done
  ip link add "$link_host" type veth peer name "$link_node" netns "$pid"
  ip addr add "$link_host_ip/30" dev "$link_host"; ip link set "$link_host" up
  nsenter -t "$pid" -n sh -c "ip addr add $link_node_ip/30 dev $link_node; ip link set $link_node up"
  ip route replace "$pod_cidr" via "$link_node_ip"; ip route replace "$service_cidr" via "$link_node_ip"
  local started=$SECONDS
  until [ "$(kube get nodes -o 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]; do
    kill -0 "$pid" 2>/dev/null || die "the node died: $state/log/node.log"
    [ $((SECONDS - started)) -lt 120 ] || die "the node is not Ready after two minutes: $state/log/"
    sleep 0.2
  done
  load_archive "$images_cache/pause.tar" localhost/pause:latest
  touch "$node/ready"
  trap - EXIT
  say "Kubernetes $KUBERNETES_VERSION is up"
}

load_archive() { # FILE [IMAGE]: imports an OCI archive, unless the image is there
  [ -z "${2:-}" ] || [ -z "$(node_ctr images ls -q "name==$2")" ] || return 0
  [ -r "$1" ] || die "cannot read the archive $1"
  node_ctr images import "$(realpath "$1")" > /dev/null || die "importing $1 failed"
}

# Every process that runs the node's script, as this machine sees them: an interrupted start may have noted none.
node_processes() { pgrep -fx "([a-z]+ )*(unshare .* )?bash $cluster_dir/inner.sh" || true; }

# Ends the node or what is left of one; silent, and no error if there is none.
end_node() {
  local pids
  pids=$(node_processes)
  for _ in $(seq 100); do
    [ -n "$pids" ] || break
    # shellcheck disable=SC2086  # numbers
    kill -9 $pids 2>/dev/null || true
    sleep 0.1
    pids=$(node_processes)
  done
  ip link del "$link_host" 2>/dev/null || true
  ip route del "$pod_cidr" 2>/dev/null || true; ip route del "$service_cidr" 2>/dev/null || true
  for _ in $(seq 50); do
    find /sys/fs/cgroup -depth -type d -path '*kubepods*' -exec rmdir {} + 2>/dev/null || true
    [ -n "$(find /sys/fs/cgroup -type d -path '*kubepods*' -print -quit 2>/dev/null)" ] || break
    sleep 0.1
  done
  rm -f "$node/init.pid" "$node/ready" "$state/env" "$state/images" "$state/kubeconfig"
  if [ "$(cut -d' ' -f2- "$machine_file" 2>/dev/null)" = "$repo" ]; then rm -f "$machine_file"; fi
}

stop_node() {
  local left
  refuse_second_node
  progress "ending the local node"
  end_node
  left=$(leftovers)
  [ -z "$left" ] || die "the node is down, but this is left: $left"
  say "the local node is down; nothing of it is left"
}

# What a node leaves when something went wrong; empty: nothing.
leftovers() {
  node_processes | sed 's/^/process /'
  grep -F " $node/" /proc/mounts | awk '{print "mount " $2}' || true
  ip -o link show 2>/dev/null | grep -o "$link_host" | sort -u | sed 's/^/link /' || true
  ip route show 2>/dev/null | grep -E '^198\.1[89]\.' | sed 's/^/route /' || true
  find /sys/fs/cgroup -type d -path '*kubepods*' -print -quit 2>/dev/null | sed 's/^/cgroup /' || true
}

known_component() { case " $components " in *" ${1:-} "*) ;; *) die "no component '${1:-}'; there are: $components" ;; esac }
# shellcheck disable=SC2016  # expanded in the node, whose numbers of processes are others
kill_component() { known_component "$1"; in_node sh -c 'kill -9 "$(cat "$1")"' sh "$node/run/pid/$1" 2>/dev/null || true; }
hold_component() { known_component "$1"; touch "$node/hold/$1"; kill_component "$1"; }
release_component() { known_component "$1"; rm -f "$node/hold/$1"; }
