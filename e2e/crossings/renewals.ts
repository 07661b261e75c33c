/** cert-manager's crossings with more than one certificate, or with a change that was taken back. */
import { setTimeout as sleep } from 'node:timers/promises'
import { NodeLoad } from '../node/harness/load.ts'
import { pointAt } from '../node/harness/manifests.ts'
import { Rollouts } from '../node/harness/rollouts.ts'
import { waitFor } from '../node/harness/wait.ts'
import { EDIT_IN_PLACE, inSecret, manifestOf, renew, served, serialInSecret, siteOf } from './certificates.ts'
import type { Site } from './certificates.ts'
import { check } from './scenario.ts'
import type { Played, World } from './scenario.ts'
import type { PolicyName } from './setup.ts'
import { agreed, ingressKey } from './tables.ts'

const FIRST_MS = 240_000
const PATIENCE_MS = 420_000
const MANY = 25

/**
 * A busy host whose Ingress is edited in place; the user names a Service that answers 500, which is taken back and left in the spec.
 * Then the certificate is renewed: the challenge is answered, and what was taken back does not come again.
 */
export async function besideTakenBack(name: string, world: World): Promise<Played> {
  const site = siteOf(name, 'usual')
  const { cluster, tables, programs } = world
  const { namespace, host } = site
  await cluster.kubectl.apply(manifestOf(site, EDIT_IN_PLACE))
  const { serial } = await served(world, site, null, FIRST_MS)
  const rollouts = new Rollouts(cluster, namespace)
  const loads = [
    NodeLoad.http(cluster, { host, perSecond: 30 }),
    NodeLoad.tls(cluster, { host, perSecond: 10, ca: programs.root }),
  ]
  let looking = true
  try {
    await sleep(15_000)
    const before = agreed(await tables.of(ingressKey(namespace, name)))
    await cluster.api.patch('ingresses', name, namespace, pointAt(host, 'fails'))
    const rollout = await rollouts.next(name)
    await rollouts.reaches(rollout, ['RolledBack'], 90_000)
    await waitFor(
      'it is off the pods',
      () => tables.of(ingressKey(namespace, name)),
      all => agreed(all) === before,
    )
    const known = rollouts.names(name)
    const began = loads.flatMap(load => load.records).length
    const others = new Set<string>()
    const look = (async () => {
      while (looking) {
        for (const one of await tables.of(ingressKey(namespace, name))) if (one !== before) others.add(String(one))
        await sleep(500)
      }
    })()
    const started = performance.now()
    await renew(cluster, site)
    const issued = inSecret(cluster, site, serial, PATIENCE_MS).catch(() => Infinity)
    const end = await served(world, site, serial, PATIENCE_MS).catch(() => null)
    const [inIt, onAll] = [await issued, end?.at ?? Infinity].map(at => ((at - started) / 1_000).toFixed(0))
    world.say(`${name}: in the Secret after ${inIt} s, on all pods after ${onAll} s`)
    looking = false
    await look
    const bad = loads
      .flatMap(load => load.records)
      .slice(began)
      .filter(record => record.at >= started && record.version === 'fails')
    const later = rollouts.names(name).filter(one => !known.includes(one))
    return {
      seconds: end === null ? null : (end.at - started) / 1_000,
      checks: [
        check('no pod serves another revision of the Ingress', others.size === 0, [...others].join(', ')),
        check('no request goes to the Service that was taken back', bad.length === 0, String(bad.length)),
        check('the Ingress has no further rollout', later.length === 0, later.join(', ')),
      ],
    }
  } finally {
    looking = false
    rollouts.close()
    await Promise.all(loads.map(load => load.stop()))
  }
}

/** So many certificates of quiet hosts at once, where nobody governs: what they take by themselves. */
export async function manyFree(name: string, world: World): Promise<Played> {
  const { cluster } = world
  const sites = manySites(name, 'none')
  await cluster.kubectl.apply(...sites.map(site => manifestOf(site)))
  const serials = new Map<Site, string>()
  for (const site of sites) serials.set(site, (await served(world, site, null, FIRST_MS)).serial)
  await sleep(10_000)
  const started = performance.now()
  await Promise.all(sites.map(site => renew(cluster, site)))
  return ended(world, sites, serials, started)
}

function manySites(name: string, policy: PolicyName): readonly Site[] {
  return Array.from({ length: MANY }, (_, i) => siteOf(`${name}-${i}`, policy))
}

async function ended(
  world: World,
  sites: readonly Site[],
  serials: ReadonlyMap<Site, string>,
  started: number,
): Promise<Played> {
  const ends = await Promise.all(
    sites.map(site => served(world, site, serials.get(site) ?? null, PATIENCE_MS).catch(() => null)),
  )
  const missing = sites.filter((_, i) => ends[i] === null).map(site => site.name)
  const last = ends.reduce((latest, end) => Math.max(latest, end?.at ?? 0), 0)
  return {
    seconds: missing.length > 0 ? null : (last - started) / 1_000,
    checks: [check(`all ${MANY} are on all pods`, missing.length === 0, missing.join(', '))],
  }
}

/** The same where a policy governs; and a change of a busy host, which does not have to wait for them. */
export async function manyAtOnce(name: string, world: World): Promise<Played> {
  const { cluster } = world
  const sites = manySites(name, 'many')
  const busy = siteOf(`${name}-busy`, 'many')
  await cluster.kubectl.apply(...sites.map(site => manifestOf(site)), manifestOf(busy))
  const serials = new Map<Site, string>()
  for (const site of [...sites, busy]) serials.set(site, (await served(world, site, null, FIRST_MS)).serial)
  const load = NodeLoad.http(cluster, { host: busy.host, perSecond: 60 })
  const rollouts = new Rollouts(cluster, busy.namespace)
  try {
    await sleep(10_000)
    const started = performance.now()
    await Promise.all(sites.map(site => renew(cluster, site)))
    const ending = ended(world, sites, serials, started)
    // As soon as all of them are in their Secrets.
    const renewed = async (): Promise<number> => {
      const found = await Promise.all(sites.map(site => serialInSecret(cluster, site)))
      return found.filter((serial, i) => serial !== null && serial !== serials.get(sites[i] as Site)).length
    }
    await waitFor('all are in their Secrets', renewed, count => count === MANY, {
      timeoutMs: PATIENCE_MS,
      everyMs: 1_000,
    })
    const changed = performance.now()
    await cluster.api.patch('ingresses', busy.name, busy.namespace, pointAt(busy.host, 'v2'))
    const rollout = await rollouts.next(busy.name)
    const passed = await rollouts.reaches(rollout, ['Complete'], 120_000).catch(() => null)
    const { seconds, checks } = await ending
    return {
      seconds,
      checks: [
        ...checks,
        check(
          'a change of a busy host passes meanwhile',
          passed !== null,
          `${rollouts.last(rollout)?.phase ?? ''}: ${rollouts.last(rollout)?.message ?? ''}`,
        ),
        check(
          'and does not wait for the certificates',
          passed !== null && passed.at - changed < 60_000,
          passed === null ? '' : `${((passed.at - changed) / 1_000).toFixed(0)} s`,
        ),
      ],
    }
  } finally {
    rollouts.close()
    await load.stop()
  }
}
