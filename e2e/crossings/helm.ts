/** helm: releases with the hook of docs/gitops.md. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { failed } from '../load/record.ts'
import { ROOT } from '../node/harness/cluster.ts'
import { NodeLoad } from '../node/harness/load.ts'
import { Proxies } from '../node/harness/proxies.ts'
import { waitFor } from '../node/harness/wait.ts'
import { chartOf } from './chart.ts'
import { hookOf } from './health.ts'
import { check } from './scenario.ts'
import type { Check, Played, World } from './scenario.ts'
import { namespaceOf } from './setup.ts'
import { agreed, ingressKey } from './tables.ts'

const UPGRADE = ['--wait', '--timeout', '4m']

/** install, a good upgrade, a bad one that goes back by itself, uninstall, install again: with clients all the time. */
export async function releases(name: string, world: World): Promise<Played> {
  const { cluster, programs, tables } = world
  const namespace = namespaceOf('usual')
  const host = `${name}.crossings.test`
  const chart = join(programs.logs, 'chart')
  const hook = hookOf(await readFile(join(ROOT, 'docs/gitops.md'), 'utf8'))
  const image = programs.kubectlImage
  for (const [path, text] of Object.entries(chartOf({ hook, image, host }))) {
    await mkdir(dirname(join(chart, path)), { recursive: true })
    await writeFile(join(chart, path), text)
  }
  const proxies = new Proxies(cluster)
  const served = async (word: string): Promise<boolean> => {
    const all = await proxies.served(host)
    return all.every(one => one === word)
  }
  const helm = (...args: readonly string[]): ReturnType<typeof programs.run> =>
    programs.run('helm', [...args, '--namespace', namespace, '--kubeconfig', programs.kubeconfig])
  const said = (text: string): string => text.trim().split('\n').slice(-3).join(' ')
  const checks: Check[] = []
  const step = async (what: string, args: readonly string[], ends: boolean, word: string): Promise<void> => {
    const { code, output, seconds } = await helm(...args)
    checks.push(
      check(`${what} ${ends ? 'succeeds' : 'fails'}`, (code === 0) === ends, `${String(code)}: ${said(output)}`),
    )
    const all = await proxies.served(host)
    checks.push(
      check(
        `${what}: every pod serves ${word}`,
        all.every(one => one === word),
        all.join(' '),
      ),
    )
    world.say(`${name}: ${what} ${code === 0 ? 'succeeded' : 'failed'} after ${seconds.toFixed(0)} s`)
  }
  const started = performance.now()
  const { code, output } = await helm('install', 'web', chart, ...UPGRADE)
  checks.push(check('install succeeds', code === 0, said(output)))
  await waitFor('every pod serves v1', () => served('v1'), Boolean, { timeoutMs: 20_000 })
  const load = NodeLoad.http(cluster, { host, perSecond: 40 })
  try {
    await sleep(10_000)
    await step('a good upgrade', ['upgrade', 'web', chart, '--set', 'to=v2', ...UPGRADE], true, 'v2')
    const before = load.records.length
    await step(
      'a bad upgrade',
      ['upgrade', 'web', chart, '--set', 'to=fails', '--rollback-on-failure', ...UPGRADE],
      false,
      'v2',
    )
    const lost = load.records.filter(failed)
    checks.push(check('only the bad upgrade loses requests', load.records.slice(0, before).filter(failed).length === 0))
    checks.push(
      check(
        'and on the first pod alone',
        lost.every(record => record.ordinal === 0),
        String(lost.length),
      ),
    )
    const after = load.records.length
    const manifest = await helm('get', 'manifest', 'web')
    checks.push(
      check('the release is that of before again', manifest.output.includes('echo-v2'), said(manifest.output)),
    )
    const uninstalled = await helm('uninstall', 'web', '--wait', '--timeout', '1m')
    checks.push(
      check('uninstall succeeds at once', uninstalled.code === 0 && uninstalled.seconds < 20, said(uninstalled.output)),
    )
    checks.push(
      check('pods serve what clients still ask for', agreed(await tables.of(ingressKey(namespace, 'web'))) !== null),
    )
    await sleep(5_000)
    await step('install again', ['install', 'web', chart, '--set', 'to=v2', ...UPGRADE], true, 'v2')
    const spoilt = load.records.slice(after).filter(failed)
    checks.push(check('clients notice neither', spoilt.length === 0, String(spoilt.length)))
    return { seconds: (performance.now() - started) / 1_000, checks }
  } finally {
    await load.stop()
    await helm('uninstall', 'web')
  }
}
