/** What of deploy/base works without controllers and kubelet, on an API server alone; and the operator's credentials for it. */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parse, stringify } from 'yaml'
import type { ApiServer } from '../apiserver/apiserver.ts'
import { render } from './render.ts'

const SYSTEM = 'sluice-system'
const ACCOUNT = 'sluice-operator'
const KINDS =
  /^(Namespace|ServiceAccount|(Cluster)?Role(Binding)?|IngressClass|CustomResourceDefinition|ValidatingAdmissionPolicy(Binding)?|PriorityClass|PriorityLevelConfiguration|FlowSchema)$/

/** Returns the path of a kubeconfig, in this folder, of the operator's ServiceAccount: its permissions and no others. */
export async function installBase(server: ApiServer, folder: string): Promise<string> {
  const kubectl = async (...args: readonly string[]): Promise<string> =>
    (await promisify(execFile)(server.kubectl, ['--kubeconfig', server.kubeconfig, ...args])).stdout
  const all = await render(server.kubectl, join(import.meta.dirname, '../../deploy/base'))
  const file = join(folder, 'base.yaml')
  const wanted = all.filter(({ kind }) => KINDS.test(kind))
  await writeFile(file, wanted.map(manifest => stringify(manifest)).join('---\n'))
  await kubectl('apply', '--server-side', '-f', file)
  const names = ['ingressrolloutpolicies', 'ingressrollouts', 'ingresschecksums', 'secretchecksums']
  const crds = names.map(name => `crd/${name}.tengine.taobao.org`)
  await kubectl('wait', '--for=condition=Established', ...crds, '--timeout=30s')
  const token = (await kubectl('create', 'token', ACCOUNT, '-n', SYSTEM)).trim()
  const config = parse(await readFile(server.kubeconfig, 'utf8')) as { readonly users: { readonly name: string }[] }
  const kubeconfig = join(folder, 'kubeconfig')
  const users = config.users.map(({ name }) => ({ name, user: { token } }))
  await writeFile(kubeconfig, stringify({ ...config, users }), { mode: 0o600 })
  return kubeconfig
}
