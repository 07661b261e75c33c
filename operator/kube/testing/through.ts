import { KubeConfig } from '@kubernetes/client-node'

/** The same cluster and user, at another address. */
export function through(server: string, config: KubeConfig): KubeConfig {
  const cluster = config.getCurrentCluster()
  const user = config.getCurrentUser()
  if (cluster === null || user === null) throw new Error('the kubeconfig names no cluster or no user')
  const other = new KubeConfig()
  other.loadFromClusterAndUser({ ...cluster, server }, user)
  return other
}
