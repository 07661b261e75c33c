export interface X {
  readonly kubeconfig: string
  readonly kubectl: string
  stop(): Promise<void>
}
export async function startApiServer(): Promise<X> {
  return Promise.resolve({
    kubeconfig: '/tmp/crdtest/admin.kubeconfig',
    kubectl: '/tmp/kube/kubectl',
    stop: () => Promise.resolve(),
  })
}
