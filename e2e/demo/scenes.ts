/** The four scenes. Each leaves the cluster as the next one needs it: v2 released, a certificate that clients trust. */
import { setTimeout as sleep } from 'node:timers/promises'
import { CAST } from './events.ts'
import type { RolloutEvent } from './events.ts'
import { DemoError } from './journal.ts'
import type { Stage } from './stage.ts'

const inNamespace = ['-n', CAST.namespace] as const
/** Long enough for the last answers to show which revision every pod ended on. */
const SETTLE_MS = 2_000
/** How long nothing must happen before it counts as refused: a first batch begins within a second or two. */
const NOTHING_MS = 8_000

export async function goodChange(stage: Stage): Promise<void> {
  stage.begin('good', 'A good change: Ingress web goes from Service echo-v1 to echo-v2')
  const rollout = await stage.change('web-v2.yaml', 'Ingress')
  const shown = showBatches(stage, rollout.name)
  const ended = await stage.ends(rollout, 'Complete')
  await shown()
  if (ended.phase !== 'Complete') throw new DemoError(`${ended.name} is ${ended.phase}: ${ended.message}`)
  await sleep(SETTLE_MS)
  stage.screen.tableNow()
  await stage.type(['get', 'ingressrollouts', ...inNamespace])
  await stage.type(['get', 'ics', '-A'])
}

export async function badChange(stage: Stage): Promise<void> {
  stage.begin('bad', 'A bad change: Ingress web goes to Service echo-v3, which answers 500')
  await takenBack(stage, await stage.change('web-v3.yaml', 'Ingress'))
  stage.begin('rest', null)
  // What is in Git is mended too: content equal to what is released needs no rollout.
  await stage.apply('web-v2.yaml')
  await sleep(SETTLE_MS)
}

export async function badCertificate(stage: Stage): Promise<void> {
  stage.begin('certificate', 'A certificate that is valid, but from an authority that the clients do not trust')
  await takenBack(stage, await stage.change('tls-untrusted.yaml', 'Secret'))
  stage.begin('rest', null)
  await stage.apply('tls-good.yaml')
  await sleep(SETTLE_MS)
}

export async function wrongHost(stage: Stage): Promise<void> {
  stage.begin('host', 'A certificate for another host: refused before the first batch')
  await stage.apply('tls-wrong-host.yaml')
  await sleep(NOTHING_MS)
  stage.screen.tableNow()
  await stage.type(['get', 'ingressrollouts', ...inNamespace])
  await stage.type([
    'get',
    'events',
    ...inNamespace,
    '--field-selector',
    `type=Warning,involvedObject.name=${CAST.secret}`,
  ])
  stage.begin('rest', null)
  await stage.apply('tls-good.yaml')
  await sleep(SETTLE_MS)
}

async function takenBack(stage: Stage, rollout: RolloutEvent): Promise<void> {
  const shown = showBatches(stage, rollout.name)
  const ended = await stage.ends(rollout, 'RolledBack')
  await shown()
  await sleep(SETTLE_MS)
  stage.screen.tableNow()
  await stage.type(['get', 'ingressrollouts', ...inNamespace])
  if (ended.phase !== 'RolledBack')
    throw new DemoError(`${ended.name} was not taken back, it is ${ended.phase}: ${ended.message}`)
  await stage.type(['describe', 'ingressrollout', rollout.name, ...inNamespace])
}

/** Says every step of the rollout, and shows `kubectl get` once per batch. Returns how to stop, when the last is shown. */
function showBatches(stage: Stage, name: string): () => Promise<void> {
  let step = ''
  let index: number | null = null
  let on = true
  let typing: Promise<unknown> = Promise.resolve()
  const show = (event: RolloutEvent): void => {
    const now = `${event.phase} ${event.index ?? ''} ${event.message}`
    if (now === step) return
    step = now
    const seconds = ((event.at - stage.journal.partAt) / 1000).toFixed(1)
    const pods = event.index === null ? '' : `, index ${event.index}`
    stage.screen.say(
      `  +${seconds} s  ${event.phase || 'new'}${pods}${event.message === '' ? '' : `: ${event.message}`}`,
    )
    if (event.index === index || event.phase !== 'Progressing') return
    index = event.index
    stage.screen.tableNow()
    typing = typing.then(() => stage.type(['get', 'ingressrollouts', ...inNamespace]))
  }
  stage.journal.on(event => {
    if (on && event.type === 'rollout' && event.name === name) show(event)
  })
  const known = stage.journal.rollout(name)
  if (known !== undefined) show(known)
  return async () => {
    on = false
    await typing
  }
}
