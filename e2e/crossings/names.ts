/** external-dns: the names that it publishes, and clients that follow them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { lossesIn } from '../load/losses.ts'
import { failed } from '../load/record.ts'
import { NodeLoad } from '../node/harness/load.ts'
import { ingress } from '../node/harness/manifests.ts'
import { Rollouts } from '../node/harness/rollouts.ts'
import { waitFor } from '../node/harness/wait.ts'
import { check } from './scenario.ts'
import type { Played, World } from './scenario.ts'
import { namespaceOf } from './setup.ts'
import { agreed, ingressKey } from './tables.ts'

const INTERVAL_SECONDS = 5
/** As long as resolvers may keep an answer. */
const TTL_MS = 10_000
const PATIENCE_MS = 300_000
const ZONE = 'names.test'

/** `CREATE` and `DELETE` of a name in its log; null: none yet. Pure. */
export function published(log: string, host: string): boolean | null {
  const last = log
    .split('\n')
    .filter(
      line => [`CREATE: ${host} `, `DELETE: ${host} `].some(words => line.includes(words)) && line.includes(' IN A '),
    )
    .at(-1)
  return last === undefined ? null : last.includes('CREATE: ')
}

/** A live host is deleted: its name goes, its clients with it, and then the pods stop serving it. */
export async function deletion(name: string, world: World): Promise<Played> {
  const { cluster, programs, tables } = world
  const namespace = namespaceOf('usual')
  const host = `${name}.${ZONE}`
  const key = ingressKey(namespace, name)
  const program = 'external-dns'
  programs.start(program, [
    ...['--source=ingress', '--provider=inmemory', `--inmemory-zone=${ZONE}`, '--policy=sync', '--registry=noop'],
    ...[`--interval=${INTERVAL_SECONDS}s`, `--kubeconfig=${programs.kubeconfig}`, `--namespace=${namespace}`],
  ])
  const rollouts = new Rollouts(cluster, namespace)
  const known = async (): Promise<boolean | null> => published(await programs.text(`${program}.log`), host)
  try {
    await cluster.kubectl.apply(ingress({ namespace, name, host }))
    await waitFor(`${host} is published`, known, yes => yes === true, { timeoutMs: 60_000 })
    await waitFor(
      'every pod serves it',
      () => tables.of(key),
      all => agreed(all) !== null,
    )
    const load = NodeLoad.http(cluster, { host, perSecond: 30 })
    try {
      await sleep(20_000)
      const started = performance.now()
      await cluster.kubectl.ok(['-n', namespace, 'delete', 'ingress', name, '--timeout=10s'])
      const deleted = performance.now()
      await waitFor(`${host} is published no more`, known, yes => yes === false, { timeoutMs: 60_000 })
      const unpublished = performance.now()
      await sleep(TTL_MS)
      await load.stop()
      const { records } = load
      const everywhere = agreed(await tables.of(key)) !== null
      const gone = await waitFor(
        'no pod serves it',
        () => tables.of(key),
        all => all.every(one => one === null),
        { timeoutMs: PATIENCE_MS, everyMs: 500 },
      ).then(
        () => performance.now(),
        () => null,
      )
      const phases = rollouts.of(name).map(event => `${event.phase} ${event.message}`)
      world.say(
        `${name}: gone from the API after ${((deleted - started) / 1_000).toFixed(1)} s, from the names after ${((unpublished - started) / 1_000).toFixed(0)} s`,
      )
      return {
        seconds: gone === null ? null : (gone - started) / 1_000,
        checks: [
          check('no request is lost while its name is known', !records.some(failed), lossesIn(records)),
          check('every pod serves it as long as clients come', everywhere),
          check('no person is needed', gone !== null, phases.at(-1)),
        ],
      }
    } finally {
      await load.stop()
    }
  } finally {
    rollouts.close()
    await programs.stop(program)
  }
}
