# shellcheck shell=bash
# Sluice on a cluster: what deploy/ holds, with image names and replica counts set (and deploy/overlays/local), nothing else.

kustomization() { # DIR OPERATOR_IMAGE PROXY_IMAGE: an overlay over deploy/overlays/local (or base) with today's images and numbers
  local dir=$1 base=$2 operator=$3 proxy=$4
  cat > "$dir/kustomization.yaml" <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$(realpath --relative-to="$dir" "$repo/$base")]
images:
  - {name: sluice-operator, newName: ${operator%:*}, newTag: "${operator##*:}"}
  - {name: sluice-proxy, newName: ${proxy%:*}, newTag: "${proxy##*:}"}
replicas:
  - {name: sluice-operator, count: ${OPERATORS:-1}}
  - {name: sluice-proxy, count: ${PROXIES:-5}}
EOF
}

explain() { # why it is not ready, as a person would look
  kube -n "$namespace" get pods -o wide >&2 || true
  kube -n "$namespace" get events --sort-by=.lastTimestamp 2>/dev/null | tail -8 >&2 || true
  kube -n "$namespace" logs -l app.kubernetes.io/name=sluice --all-containers --tail=8 --prefix >&2 2>/dev/null || true
}

await() { # TEXT TIMEOUT COMMAND…: runs COMMAND until it succeeds
  local text=$1 timeout=$2 started=$SECONDS; shift 2
  until "$@" >/dev/null 2>&1; do
    progress "waiting for $text, $((SECONDS - started)) s"
    [ $((SECONDS - started)) -lt "$timeout" ] || { explain; die "$text: not ready after $timeout s"; }
    sleep 0.5
  done
}

install_sluice() { # OPERATOR_IMAGE PROXY_IMAGE BASE
  local dir=$state/install
  mkdir -p "$dir"
  kustomization "$dir" "$3" "$1" "$2"
  progress "applying deploy/"
  # CRDs first: objects of a kind cannot be applied before its kind is there.
  kube apply --server-side --force-conflicts -k "$repo/crds" > /dev/null
  kube wait --for=condition=Established --timeout=30s -f <(kube kustomize "$repo/crds") > /dev/null
  kube apply --server-side --force-conflicts -k "$dir" > /dev/null
  await "the operator" 120 kube -n "$namespace" rollout status deployment/sluice-operator --timeout=2s
  await "the proxies" 180 kube -n "$namespace" rollout status statefulset/sluice-proxy --timeout=2s
  say "Sluice is ready: ${OPERATORS:-1} operator(s), ${PROXIES:-5} proxies"
}

# Finalizers and annotations go before what understands them: the operator's own subcommand does it.
uninstall_sluice() {
  if kube -n "$namespace" get deployment/sluice-operator >/dev/null 2>&1; then
    progress "taking rollout annotations, finalizers and addresses off Ingresses and Secrets"
    kube -n "$namespace" scale deployment/sluice-operator --replicas=1 > /dev/null
    await "the operator" 60 kube -n "$namespace" rollout status deployment/sluice-operator --timeout=2s
    kube -n "$namespace" exec deployment/sluice-operator -- /usr/local/bin/node /app/main.js uninstall >&2 || die "uninstall stopped: what is said above must be mended first; nothing was deleted"
  fi
  progress "deleting Sluice"
  kube delete --ignore-not-found --wait=true --timeout=120s -k "$repo/deploy/base" > /dev/null
  # What components added.
  kube delete clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding -l app.kubernetes.io/name=sluice > /dev/null
  say "Sluice is gone"
}

# For each proxy a Service with an address that outlives its Pod: the tests' way in, no part of the product.
expose_proxies() {
  local i
  for i in $(seq 0 $((${PROXIES:-5} - 1))); do
    cat <<EOF
---
apiVersion: v1
kind: Service
metadata: {name: sluice-proxy-$i, namespace: $namespace, labels: {sluice-local: proxy}}
spec:
  selector: {statefulset.kubernetes.io/pod-name: sluice-proxy-$i}
  publishNotReadyAddresses: true
  ports:
    - {name: http, port: 80, targetPort: http}
    - {name: https, port: 443, targetPort: https}
    - {name: admin, port: 9090, targetPort: admin}
EOF
  done | kube apply --server-side --force-conflicts -f - > /dev/null
}

# .sluice/env: with it a black-box test needs kubectl and curl alone.
write_env() {
  local kubectl_dir http='' https='' admin='' i ip
  kubectl_dir=$(dirname "$(command -v kubectl)")
  if kube -n "$namespace" get statefulset/sluice-proxy >/dev/null 2>&1; then
    expose_proxies
    for i in $(seq 0 $((${PROXIES:-5} - 1))); do
      ip=$(kube -n "$namespace" get service "sluice-proxy-$i" -o 'jsonpath={.spec.clusterIP}')
      http="$http $ip:80" https="$https $ip:443" admin="$admin $ip:9090"
    done
  fi
  cat > "$state/env.tmp" <<EOF
# source this: . .sluice/env
export KUBECONFIG='$(realpath "$kubeconfig")'
export PATH='$kubectl_dir':"\$PATH"
export SLUICE_NAMESPACE=$namespace
export SLUICE_HTTP='${http# }'
export SLUICE_HTTPS='${https# }'
export SLUICE_ADMIN='${admin# }'
EOF
  mv "$state/env.tmp" "$state/env"
}
