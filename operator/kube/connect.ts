/** From a kubeconfig (or the Pod's own account) to a client. */
import { KubeConfig } from '@kubernetes/client-node'
import { HttpKubeClient } from './client.ts'
import type { ClientSettings, KubeClient } from './client.ts'
import { HttpTransport } from './transport.ts'

/** A given file; else KUBECONFIG, the user's kubeconfig, the Pod's ServiceAccount, in this order. */
export function loadKubeConfig(file?: string): KubeConfig {
  const config = new KubeConfig()
  if (file === undefined) config.loadFromDefault()
  else config.loadFromFile(file)
  return config
}

export function connect(config: KubeConfig, settings: ClientSettings = {}): KubeClient {
  return new HttpKubeClient(new HttpTransport(config), settings)
}
