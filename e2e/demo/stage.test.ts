import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { RolloutEvent } from './events.ts'
import { Journal } from './journal.ts'
import { Kubectl } from './kubectl.ts'
import { Screen } from './screen.ts'
import { Stage } from './stage.ts'

let folder: string
let kubectl: Kubectl
let written: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-demo-'))
  kubectl = new Kubectl({ PATH: `${folder}:${process.env['PATH'] ?? ''}` })
  written = ''
})
afterEach(async () => {
  kubectl.close()
  await rm(folder, { recursive: true })
})

/** A kubectl that is a shell script: these tests are about how the demo uses one. */
async function script(text: string): Promise<Stage> {
  await writeFile(join(folder, 'kubectl'), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  const screen = new Screen({ write: chunk => (written += chunk) }, {})
  return new Stage({ journal: new Journal(), screen, kubectl, folder })
}

const rollout = (name: string, phase: string): string =>
  JSON.stringify({
    type: 'ADDED',
    object: {
      metadata: { name },
      spec: { objectRef: { kind: 'Ingress', name: 'web' }, revision: 'r' },
      status: { phase },
    },
  })

describe('stage', () => {
  it('shows the command as a person would type it, with its real output', async () => {
    const stage = await script('echo "NAME  $#"; echo "no such thing" >&2; exit 3')
    const outcome = await stage.type(['get', 'x', "it's", '--for=jsonpath={.a}=2'])
    expect(outcome).toEqual({ code: 3, output: 'NAME  4\nno such thing' })
    expect(written).toBe(`\n$ kubectl get x 'it'\\''s' '--for=jsonpath={.a}=2'\n  NAME  4\n  no such thing\n\n`)
  })

  it('an apply that the API server refuses ends the scene', async () => {
    const stage = await script('echo denied; exit 1')
    await expect(stage.apply('web.yaml')).rejects.toThrow('kubectl apply -f web.yaml failed: denied')
  })

  it('returns the rollout that a change makes, not one that was there', async () => {
    const stage = await script(`
case "$*" in
  'get ingressrollouts'*) echo '${rollout('old', 'Complete')}'; while [ ! -e ${folder}/applied ]; do sleep 0.05; done; echo '${rollout('new', '')}'; sleep 30 ;;
  'get events'*) sleep 30 ;;
  apply*) touch ${folder}/applied; echo configured ;;
esac`)
    stage.watch()
    await stage.journal.next(
      'old',
      5_000,
      (event): event is RolloutEvent => event.type === 'rollout' && event.name === 'old',
    )
    expect((await stage.change('web.yaml', 'Ingress')).name).toBe('new')
  })

  it('gives up its wait when the rollout ends otherwise', async () => {
    const stage = await script(`
case "$*" in
  'get ingressrollouts'*) echo '${rollout('r', 'Progressing')}'; sleep 0.3; echo '${rollout('r', 'Complete')}'; sleep 30 ;;
  *) exec sleep 30 ;;
esac`)
    stage.watch()
    const isRollout = (event: { readonly type: string }): event is RolloutEvent => event.type === 'rollout'
    const first = await stage.journal.next('r', 5_000, isRollout)
    expect((await stage.ends(first, 'RolledBack')).phase).toBe('Complete')
    expect(written).toContain('(given up)')
  })

  it('starts a watch again that ends, and writes a warning down once', async () => {
    const warning = JSON.stringify({
      type: 'ADDED',
      object: { type: 'Warning', involvedObject: { kind: 'Secret', name: 's' }, reason: 'R', message: 'm' },
    })
    const stage = await script(`
case "$*" in
  'get events'*) echo '${warning}'; echo x >> ${folder}/starts; [ $(wc -l < ${folder}/starts) -lt 3 ] || echo '${rollout('x', '')}' > ${folder}/done ;;
  *) while [ ! -e ${folder}/done ]; do sleep 0.05; done; cat ${folder}/done; sleep 30 ;;
esac`)
    stage.watch()
    await stage.journal.next('third start', 5_000, (event): event is RolloutEvent => event.type === 'rollout')
    expect(stage.journal.events.filter(event => event.type === 'warning')).toHaveLength(1)
  })
})
