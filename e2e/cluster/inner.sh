#!/usr/bin/env bash
# The node itself: process 1 of its own pid, mount, network and host name namespaces. Started by node.sh alone.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
set +e
node=$state/node
export PATH="$binaries:$PATH"
cd "$node" || exit 1

mount --make-rprivate /
mkdir -p run && mount -t tmpfs none run && mkdir -p run/kubelet run/pid && mount -t tmpfs none run/kubelet && mount --make-rshared /
ip link set lo up
# An address of its own: a bridge else takes the lowest one of its ports, and when that pod goes, no other reaches the node for half a minute.
ip link add sluice0 address "$bridge_address" type bridge && ip addr add "$node_ip/17" dev sluice0 && ip link set sluice0 up
sysctl -qw net.ipv4.ip_forward=1
hostname node-0

# A component that dies is started again after a second, as an init system would, unless it is held down.
supervise() { # NAME COMMAND…
  local name=$1; shift
  while :; do
    if [ -e "$node/hold/$name" ]; then sleep 0.2; continue; fi
    "$@" >> "$state/log/$name.log" 2>&1 &
    echo $! > "run/pid/$name"
    wait $!
    rm -f "run/pid/$name"
    [ -e "$node/hold/$name" ] || sleep 1
  done
}
answers() { curl -sk --cert pki/admin.crt --key pki/admin.key "https://127.0.0.1:6443/readyz" -o /dev/null; }

supervise etcd etcd --data-dir run/etcd --unsafe-no-fsync --log-level warn \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380 &
supervise kube-apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address="$node_ip" --bind-address=0.0.0.0 --secure-port=6443 \
  --tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt \
  --kubelet-client-certificate=pki/admin.crt --kubelet-client-key=pki/admin.key --kubelet-certificate-authority=pki/ca.crt --kubelet-preferred-address-types=InternalIP \
  --authorization-mode=Node,RBAC --service-cluster-ip-range="$service_cidr" \
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=pki/sa.pub --service-account-signing-key-file=pki/sa.key \
  --audit-policy-file="$cluster_dir/audit.yaml" --audit-log-path="$state/log/audit.log" --audit-log-maxsize=100 --audit-log-maxbackup=1 \
  --enable-aggregator-routing=true &
supervise containerd containerd -c containerd.toml &
(
  until ctr -a run/containerd.sock version >/dev/null 2>&1; do sleep 0.1; done
  # What an earlier run of the node left in containerd's books: its processes are long gone.
  ctr -a run/containerd.sock -n k8s.io containers ls -q | xargs -r ctr -a run/containerd.sock -n k8s.io containers rm >/dev/null 2>&1
  touch run/containerd.ready
) &
until answers; do sleep 0.1; done
until [ -e run/containerd.ready ]; do sleep 0.1; done
# The grace period: an API server that tests hold down for half a minute must not make the only node, and so every endpoint, not ready.
supervise kube-controller-manager kube-controller-manager --kubeconfig=admin.kubeconfig --service-account-private-key-file=pki/sa.key --root-ca-file=pki/ca.crt --use-service-account-credentials --controllers='*' --leader-elect=false \
  --node-monitor-grace-period=10m &
supervise kube-scheduler kube-scheduler --kubeconfig=admin.kubeconfig --leader-elect=false &
supervise kubelet kubelet --kubeconfig=kubelet.kubeconfig --config=kubelet.yaml --root-dir="$node/run/kubelet" --node-ip="$node_ip" --hostname-override=node-0 --cert-dir=run/kubelet-pki &
supervise kube-proxy kube-proxy --kubeconfig=admin.kubeconfig --proxy-mode=iptables --cluster-cidr="$pod_cidr" --hostname-override=node-0 --conntrack-max-per-core=0 &
supervise coredns coredns -conf Corefile &
touch run/started
wait
