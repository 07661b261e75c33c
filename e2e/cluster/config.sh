# shellcheck shell=bash
# Certificates and configuration of the node's components, under $node.
new_certificate() { # NAME SUBJECT ALTNAMES
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$3" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm -f "$1.csr" "$1.ext"
}

new_kubeconfig() { # FILE CERTIFICATE
  cat > "$1" <<EOF
apiVersion: v1
kind: Config
current-context: sluice-local
contexts: [{name: sluice-local, context: {cluster: sluice-local, user: $2}}]
clusters: [{name: sluice-local, cluster: {server: "https://$node_ip:6443", certificate-authority-data: $(base64 -w0 pki/ca.crt)}}]
users: [{name: $2, user: {client-certificate-data: $(base64 -w0 "pki/$2.crt"), client-key-data: $(base64 -w0 "pki/$2.key")}}]
EOF
  chmod 600 "$1"
}

configure_node() {
  mkdir -p "$node/pki" "$node/cni" "$node/hold" "$state/log"
  cd "$node/pki"
  if [ ! -f done ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 3650 -subj /CN=sluice-local-ca -addext keyUsage=keyCertSign,digitalSignature 2>/dev/null
    new_certificate apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:198.19.0.1,IP:$node_ip"
    new_certificate admin "/O=system:masters/CN=admin" DNS:admin
    new_certificate kubelet "/O=system:nodes/CN=system:node:node-0" "DNS:node-0,IP:$node_ip"
    openssl genrsa -out sa.key 2048 2>/dev/null
    openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
    touch done
  fi
  cd "$node"
  new_kubeconfig admin.kubeconfig admin
  new_kubeconfig kubelet.kubeconfig kubelet
  cp admin.kubeconfig "$state/kubeconfig"
  # failCgroupV1: machines with cgroup v1 are still about. Eviction by disk would make tests depend on the machine.
  cat > kubelet.yaml <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $node_ip
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $node/pki/ca.crt}}
authorization: {mode: Webhook}
clusterDNS: [$node_ip]
clusterDomain: cluster.local
cgroupDriver: cgroupfs
failSwapOn: false
failCgroupV1: false
containerRuntimeEndpoint: unix://$node/run/containerd.sock
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
tlsCertFile: $node/pki/kubelet.crt
tlsPrivateKeyFile: $node/pki/kubelet.key
resolvConf: /dev/null
maxPods: 200
crashLoopBackOff: {maxContainerRestartPeriod: 5s}
featureGates: {KubeletCrashLoopBackOffMax: true}
EOF
  cat > cni/10-net.conflist <<EOF
{"cniVersion":"0.4.0","name":"net","plugins":[{"type":"bridge","bridge":"sluice0","isGateway":true,"ipMasq":false,"hairpinMode":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"$pod_cidr","rangeStart":"198.18.1.1"}]],"routes":[{"dst":"0.0.0.0/0"}],"dataDir":"$node/run/ipam"}},{"type":"portmap","capabilities":{"portMappings":true}}]}
EOF
  # restrict_oom_score_adj: without CAP_SYS_RESOURCE runc dies when it is lowered.
  cat > containerd.toml <<EOF
version = 2
root = "$node/containerd"
state = "$node/run/containerd"
[grpc]
  address = "$node/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:latest"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$node/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
EOF
  cat > Corefile <<EOF
cluster.local:53 {
  errors
  kubernetes cluster.local {
    kubeconfig $node/admin.kubeconfig
    ttl 1
  }
}
EOF
}
