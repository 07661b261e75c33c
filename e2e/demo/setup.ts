/** From an installed Sluice to a shop that is served by every proxy and governed by a policy. */
import { get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { requestOnce } from '../load/tls-load.ts'
import type { Target } from '../load/targets.ts'
import { CAST } from './events.ts'
import { DemoError } from './journal.ts'
import type { Kubectl } from './kubectl.ts'
import type { Stage } from './stage.ts'

const READY_MS = 60_000

/** Takes away what an earlier demo left. */
export async function clear(kubectl: Kubectl): Promise<void> {
  const about = ['--ignore-not-found', '--timeout=60s']
  const policy = await kubectl.run(['delete', 'ingressrolloutpolicy', CAST.policy, ...about])
  const namespace = await kubectl.run(['delete', 'namespace', CAST.namespace, ...about])
  for (const { code, output } of [policy, namespace]) {
    if (code !== 0) throw new DemoError(`what an earlier demo left cannot be deleted: ${output}`)
  }
}

export async function setUp(
  stage: Stage,
  http: readonly Target[],
  https: readonly Target[],
  ca: string,
): Promise<void> {
  stage.screen.title('A shop: two backends that work, one that answers 500, an Ingress, a certificate')
  for (const file of ['namespace.yaml', 'backends.yaml', 'tls-good.yaml', 'web-v1.yaml']) await stage.apply(file)
  await stage.type(['wait', '--for=condition=Available', 'deployment', '--all', '-n', CAST.namespace, '--timeout=60s'])
  await everyProxyServes(http, https, ca)
  stage.screen.title('A policy: one pod, two, all; five seconds each; taken back when answers or handshakes fail')
  await stage.apply('policy.yaml')
  const governed = ['wait', '--for=jsonpath={.status.governedObjects}=2', `irp/${CAST.policy}`, '--timeout=30s']
  const { code, output } = await stage.type(governed)
  if (code !== 0) throw new DemoError(`the policy does not govern Ingress and Secret: ${output}`)
  await stage.type(['get', 'irp'])
}

/** @throws DemoError that names the proxies that do not, and what they answer instead */
async function everyProxyServes(http: readonly Target[], https: readonly Target[], ca: string): Promise<void> {
  const until = performance.now() + READY_MS
  for (;;) {
    const plain = http.map(async target => (await plainVersion(target)) === CAST.before)
    const options = { host: CAST.host, path: '/', timeoutMs: 2_000, ca }
    const secure = https.map(async target => (await requestOnce(options, target, 'reset')).version === CAST.before)
    const answers = await Promise.all([...plain, ...secure])
    if (answers.every(Boolean)) return
    if (performance.now() > until) {
      const missing = [...http, ...https]
        .filter((_, i) => answers[i] !== true)
        .map(target => `${target.address}:${target.port}`)
      throw new DemoError(
        `after ${READY_MS / 1000} s these do not serve ${CAST.host} from ${CAST.before}: ${missing.join(', ')}`,
      )
    }
    await sleep(250)
  }
}

function plainVersion(target: Target): Promise<string | null> {
  return new Promise(resolve => {
    const options = {
      host: target.address,
      port: target.port,
      headers: { host: CAST.host },
      agent: false,
      timeout: 2_000,
    }
    const call = get(options, response => {
      const version = response.headers['x-echo-version']
      response.resume().on('end', () => resolve(typeof version === 'string' ? version : null))
    })
    call.on('timeout', () => call.destroy())
    call.on('error', () => resolve(null))
    call.on('close', () => resolve(null))
  })
}
