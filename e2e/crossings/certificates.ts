/** cert-manager's crossings: an Ingress that asks for a certificate, and the time until every pod serves it. */
import { X509Certificate } from 'node:crypto'
import { connect } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Manifest } from '../echo/manifests.ts'
import { lossesIn } from '../load/losses.ts'
import { failed } from '../load/record.ts'
import type { Target } from '../load/targets.ts'
import type { Cluster } from '../node/harness/cluster.ts'
import { NodeLoad } from '../node/harness/load.ts'
import { ingress } from '../node/harness/manifests.ts'
import { waitFor } from '../node/harness/wait.ts'
import { ISSUER, WAITING_ISSUER } from './programs.ts'
import { check } from './scenario.ts'
import type { Check, Played, Scenario, Within, World } from './scenario.ts'
import { namespaceOf } from './setup.ts'
import type { PolicyName } from './setup.ts'
import { agreed, secretKey } from './tables.ts'

export type Act = 'new host' | 'renewal' | 'another host' | 'Secret deleted'

export interface CertificateOptions {
  readonly name: string
  readonly what: string
  readonly act: Act
  readonly policy: PolicyName
  readonly busy?: boolean
  readonly within: Within
  /** Annotations of the Ingress besides its issuer. */
  readonly annotations?: Readonly<Record<string, string>>
  readonly waits?: boolean
  /** How long anybody looks. */
  readonly patienceSeconds?: number
}

export const EDIT_IN_PLACE = { 'acme.cert-manager.io/http01-edit-in-place': 'true' }
export const TEMPORARY = { 'cert-manager.io/issue-temporary-certificate': 'true' }
const PATIENCE_SECONDS = 300
const PLAIN_PER_SECOND = 30
const TLS_PER_SECOND = 10

/** Where one certificate is asked for. */
export interface Site {
  readonly namespace: string
  readonly name: string
  readonly secret: string
  readonly host: string
}

export function siteOf(name: string, policy: string): Site {
  return { namespace: namespaceOf(policy), name, secret: `${name}-tls`, host: `${name}.crossings.test` }
}

export function manifestOf(
  { namespace, name, secret, host }: Site,
  annotations: Readonly<Record<string, string>> = {},
  waits = false,
): Manifest {
  return ingress({
    ...{ namespace, name, host, secret },
    annotations: { 'cert-manager.io/cluster-issuer': waits ? WAITING_ISSUER : ISSUER, ...annotations },
  })
}

export function certificate(options: CertificateOptions): Scenario {
  const { name, what, within } = options
  return { name, what, within, program: 'cert-manager', play: world => play(options, world) }
}

/** Where nobody governs, from the Secret to the last pod: what is before it is cert-manager's and Pebble's time. */
const SOON_SECONDS = 5

async function play(options: CertificateOptions, world: World): Promise<Played> {
  const { act, annotations, waits = false, busy = false } = options
  const site = siteOf(options.name, options.policy)
  const { cluster } = world
  const manifest = manifestOf(site, annotations, waits)
  const patienceMs = (options.patienceSeconds ?? PATIENCE_SECONDS) * 1_000
  let old: string | null = null
  if (act !== 'new host') {
    await cluster.kubectl.apply(manifest)
    old = (await served(world, site, null, 120_000)).serial
  }
  const loads = busy && act !== 'new host' ? traffic(world, site) : []
  try {
    if (loads.length > 0) await sleep(15_000)
    const started = performance.now()
    await change(act, manifest, site, world)
    if (busy && act === 'new host') loads.push(...traffic(world, site))
    const ready = await inSecret(cluster, site, old, patienceMs).catch(() => null)
    if (ready === null)
      return { seconds: null, checks: [check('the certificate is in the Secret', false, await why(world, site))] }
    const issued = (ready - started) / 1_000
    const end = await served(world, site, old, patienceMs).catch(() => null)
    if (end === null) return { seconds: null, checks: [check('every pod serves it', false, await why(world, site))] }
    const seconds = (end.at - started) / 1_000
    world.say(`${options.name}: in the Secret after ${issued.toFixed(0)} s, on all pods after ${seconds.toFixed(0)} s`)
    const soon = check(
      `every pod serves it ${SOON_SECONDS} s after it is in the Secret`,
      seconds - issued <= SOON_SECONDS,
      `${(seconds - issued).toFixed(1)} s`,
    )
    return { seconds, checks: [...(options.policy === 'none' ? [soon] : []), ...checksOf(options, loads)] }
  } finally {
    await Promise.all(loads.map(load => load.stop()))
  }
}

async function change(act: Act, manifest: Manifest, site: Site, { cluster }: World): Promise<void> {
  switch (act) {
    case 'new host':
      return cluster.kubectl.apply(manifest)
    case 'renewal':
      return renew(cluster, site)
    case 'another host':
      return cluster.kubectl.apply(withHost(manifest, `more-${site.host}`))
    case 'Secret deleted':
      return cluster.kubectl.delete(site.namespace, `secret/${site.secret}`)
  }
}

interface Conditions {
  readonly status?: { readonly conditions?: readonly { readonly type: string }[] }
}

/** What `cmctl renew` does, which is in place of a condition of the same type: of an issuance before, that failed or has not ended yet. */
export async function renew(cluster: Cluster, { namespace, secret }: Site): Promise<void> {
  const path = `/apis/cert-manager.io/v1/namespaces/${namespace}/certificates/${secret}`
  const { body } = await cluster.api.call('GET', path)
  const others = ((body as Conditions).status?.conditions ?? []).filter(({ type }) => type !== 'Issuing')
  const issuing = {
    ...{ type: 'Issuing', status: 'True', reason: 'ManuallyTriggered' },
    ...{ message: 'Certificate re-issuance manually triggered', lastTransitionTime: new Date().toISOString() },
  }
  const patch = { status: { conditions: [...others, issuing] } }
  const { status, body: said } = await cluster.api.call(
    'PATCH',
    `${path}/status`,
    patch,
    'application/merge-patch+json',
  )
  if (status !== 200) throw new Error(`renewing ${secret}: ${status} ${JSON.stringify(said)}`)
}

function withHost(manifest: Manifest, host: string): Manifest {
  const spec = manifest['spec'] as {
    readonly tls: readonly [{ readonly hosts: readonly string[] }]
    readonly rules: readonly [object]
  }
  const [tls] = spec.tls
  const rules = [...spec.rules, { ...spec.rules[0], host }]
  return { ...manifest, spec: { ...spec, tls: [{ ...tls, hosts: [...tls.hosts, host] }], rules } }
}

function traffic({ cluster, programs }: World, { host }: Site): NodeLoad[] {
  return [
    NodeLoad.http(cluster, { host, perSecond: PLAIN_PER_SECOND }),
    NodeLoad.tls(cluster, { host, perSecond: TLS_PER_SECOND, ca: programs.root }),
  ]
}

/** Clients of a host that was served before lose nothing. */
function checksOf({ act, busy = false }: CertificateOptions, loads: readonly NodeLoad[]): readonly Check[] {
  if (!busy || act === 'new host') return []
  const records = loads.flatMap(load => load.records)
  return [check('no request is lost', !records.some(failed), lossesIn(records))]
}

/** When a certificate of an authority that is none of before is in the Secret, in milliseconds of performance.now(). */
export async function inSecret(cluster: Cluster, site: Site, old: string | null, timeoutMs: number): Promise<number> {
  const serial = async (): Promise<string | null> => {
    const found = await serialInSecret(cluster, site)
    return found === old ? null : found
  }
  await waitFor(`a certificate in ${site.secret}`, serial, found => found !== null, { timeoutMs, everyMs: 500 })
  return performance.now()
}

/** Null: there is none, or cert-manager's temporary one, which no authority signed. */
export async function serialInSecret(cluster: Cluster, { namespace, secret }: Site): Promise<string | null> {
  const data = (await cluster.api.get('secrets', secret, namespace))?.['data'] as Record<string, string> | undefined
  const pem = Buffer.from(data?.['tls.crt'] ?? '', 'base64').toString()
  if (pem === '') return null
  const { issuer, serialNumber } = new X509Certificate(pem)
  return issuer.includes('cert-manager') ? null : serialNumber
}

export interface ServedCertificate {
  readonly at: number
  readonly serial: string
}

/**
 * When every pod serves what is in the Secret, which is not `old`: their tables are asked until all have one revision, and
 * then each with one handshake.
 */
export async function served(
  { cluster, tables }: World,
  site: Site,
  old: string | null,
  timeoutMs: number,
): Promise<ServedCertificate> {
  let revision: string | null = null
  let at = 0
  const serial = async (): Promise<string | null> => {
    const now = agreed(await tables.of(secretKey(site.namespace, site.secret)))
    if (now === null || now === revision) return null
    const wanted = await serialInSecret(cluster, site)
    if (wanted === null || wanted === old) return null
    at = performance.now()
    const shown = await Promise.all(cluster.https.map(target => shownBy(target, site.host)))
    // What is no longer new by its revision is not asked again: these handshakes would be evidence.
    revision = now
    return shown.every(one => one === wanted) ? wanted : null
  }
  const found = await waitFor(`every pod serves ${site.secret}`, serial, one => one !== null, {
    timeoutMs,
    everyMs: 500,
  })
  return { at, serial: found ?? '' }
}

/** Serial number of the certificate that a proxy shows; null: none. */
function shownBy(target: Target, host: string): Promise<string | null> {
  return new Promise(resolve => {
    const options = { host: target.address, port: target.port, servername: host, rejectUnauthorized: false }
    const socket = connect(options, () => {
      const { raw } = socket.getPeerCertificate()
      // A client that says nothing after its handshake would count as one that refuses: this one asks.
      socket.end(`GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
      resolve(new X509Certificate(raw).serialNumber)
      socket.resume()
    })
    socket.setTimeout(5_000, () => socket.destroy())
    socket.on('error', () => resolve(null))
    socket.on('close', () => resolve(null))
  })
}

/** What a person would look at. */
async function why({ cluster, tables }: World, { namespace, secret }: Site): Promise<string> {
  const get = async (kinds: string, columns: string): Promise<string> =>
    (await cluster.kubectl.run(['get', kinds, '-n', namespace, '--no-headers', '-o', `custom-columns=${columns}`]))
      .stdout
  const rollouts = await get('ir', 'N:.metadata.name,P:.status.phase,M:.status.message')
  const challenges = await get('challenges.acme.cert-manager.io', 'N:.spec.dnsName,S:.status.state,R:.status.reason')
  const revisions = (await tables.of(secretKey(namespace, secret))).map(one => one ?? '-').join(' ')
  return `pods: ${revisions}; rollouts: ${rollouts}; challenges: ${challenges}`.slice(0, 2_000)
}
