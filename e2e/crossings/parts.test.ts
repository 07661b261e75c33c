import { describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { ROLLOUT_GROUP } from '../node/harness/group.ts'
import { CATALOGUE, chosen } from './catalogue.ts'
import { chartOf } from './chart.ts'
import { expectedOf, hookOf, rulesOf } from './health.ts'
import { published } from './names.ts'
import { restored } from './restore.ts'
import { PROGRAMS } from './scenario.ts'
import { policyOf } from './setup.ts'
import { markdownOf, sectionOf, withSection } from './table.ts'
import type { Row } from './table.ts'
import { agreed } from './tables.ts'

const gitops = readFileSync(join(import.meta.dirname, '../../docs/gitops.md'), 'utf8')
const crossings = readFileSync(join(import.meta.dirname, '../../docs/crossings.md'), 'utf8')

describe('the catalogue of crossings', () => {
  it('names each once, so that it can be an Ingress and a host', () => {
    const names = CATALOGUE.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(name).toMatch(/^[a-z][a-z0-9-]{1,40}$/)
  })

  it('has something of every program', () => {
    expect(new Set(CATALOGUE.map(({ program }) => program))).toEqual(new Set(PROGRAMS))
  })

  it('measures by scenarios that are measured in seconds themselves, and plays these too', () => {
    const measures = CATALOGUE.flatMap(({ within }) => (within.by === 'seconds' ? [] : [within.scenario]))
    for (const name of measures) expect(CATALOGUE.find(one => one.name === name)?.within.by).toBe('seconds')
    expect(chosen(['edit-quiet']).map(({ name }) => name)).toEqual(['edit-free', 'edit-quiet'])
  })
})

describe('what docs/gitops.md has for others', () => {
  it('is a rule of Argo CD for each of the three kinds', () => {
    expect(Object.keys(rulesOf(gitops)).sort()).toEqual([
      ...['networking.k8s.io_Ingress', `${ROLLOUT_GROUP}_IngressRollout`, `${ROLLOUT_GROUP}_IngressRolloutPolicy`],
    ])
  })

  it('is a hook that goes into a chart as it is, but for its image', () => {
    const files = chartOf({ hook: hookOf(gitops), image: 'localhost/kubectl', host: 'a.test' })
    const job = parse(files['templates/hook.yaml'] ?? '') as {
      readonly spec: {
        readonly template: { readonly spec: { readonly containers: readonly [Record<string, unknown>] } }
      }
    }
    const [container] = job.spec.template.spec.containers
    expect(container['image']).toBe('localhost/kubectl')
    expect(String(container['args'])).toContain('--for=condition=Reconciling=False')
    expect(files['templates/web.yaml']).toContain('echo-{{ .Values.to }}')
  })
})

describe('what kstatus and Argo CD have to say', () => {
  const rollout = (phase: string, reason = '', observedGeneration = 2): Parameters<typeof expectedOf>[0] => ({
    metadata: { name: 'r', generation: 2 },
    status: { phase, observedGeneration, conditions: [{ type: 'Paused', status: 'True', reason }] },
  })

  it.each([
    ['Pending', '', 'InProgress', 'Progressing'],
    ['Paused', 'WaitingForTime', 'InProgress', 'Suspended'],
    ['Paused', 'InUse', 'InProgress', 'Suspended'],
    ['Paused', 'Inconclusive', 'Failed', 'Suspended'],
    ['Paused', 'GateFailed', 'Failed', 'Degraded'],
    ['RolledBack', '', 'Failed', 'Degraded'],
    ['Superseded', '', 'Current', 'Healthy'],
  ])('of %s %s is %s and %s', (phase, reason, kstatus, rule) => {
    expect(expectedOf(rollout(phase, reason))).toEqual({ kstatus, rule })
  })

  it('is not known before the operator has looked', () => {
    expect(expectedOf(rollout('Complete', '', 1))).toBeNull()
    expect(expectedOf({ metadata: { name: 'r', generation: 1 } })).toBeNull()
  })
})

describe('what external-dns publishes', () => {
  const line = (verb: string, host: string): string =>
    `time="…" level=info msg="${verb}: ${host} 0 IN A  198.19.0.80 []"`

  it('is what its log says last of a name', () => {
    const log = [line('CREATE', 'a.test'), line('CREATE', 'b.test'), line('DELETE', 'a.test')].join('\n')
    expect(published(log, 'a.test')).toBe(false)
    expect(published(log, 'b.test')).toBe(true)
    expect(published(log, 'c.test')).toBeNull()
  })
})

describe('a restored object', () => {
  it('keeps its annotations and labels, and nothing that the API server gave it', () => {
    const metadata = { name: 'a', namespace: 'b', uid: 'u', resourceVersion: '1', annotations: { x: 'y' } }
    expect(restored({ kind: 'Ingress', metadata, spec: { z: 1 }, status: { w: 1 } }, 'c')).toEqual({
      ...{ kind: 'Ingress', spec: { z: 1 } },
      metadata: { name: 'a', namespace: 'c', labels: {}, annotations: { x: 'y' } },
    })
  })
})

describe('the policies', () => {
  it('govern their own namespace', () => {
    expect(JSON.stringify(policyOf('readme'))).toContain('"kubernetes.io/metadata.name":"crossings-readme"')
  })
})

describe('revisions of all pods', () => {
  it('are agreed where they are one', () => {
    expect([agreed(['a', 'a']), agreed(['a', 'b']), agreed([null, null]), agreed([])]).toEqual(['a', null, null, null])
  })
})

describe('the table', () => {
  const row = (name: string, problems: readonly string[] = []): Row => ({
    scenario: { name, program: 'helm', what: name.toUpperCase() },
    verdict: { fine: problems.length === 0, seconds: 12.4, allowed: 60, problems },
  })

  it('counts, keeps the order, and the lines of what was not played', () => {
    const first = markdownOf([row('b'), row('a', ['a|b'])], ['a', 'b'])
    expect(first.split('\n')).toEqual([
      '1 of 2 go as they should, 1 do not.',
      '',
      '| program | scenario | took | allowed | persons |  |',
      '| --- | --- | --- | --- | --- | --- |',
      '| helm | A (`a`) | 12 s | 60 s | 0 | **not as it should**: a\\|b |',
      '| helm | B (`b`) | 12 s | 60 s | 0 |  |',
    ])
    expect(markdownOf([row('a')], ['a', 'b'], first)).toContain('| helm | B (`b`) | 12 s')
    expect(markdownOf([row('a')], ['a', 'b'], first)).toContain('2 of 2 go as they should.')
  })

  it('stands between two markers of the document', () => {
    expect(sectionOf(withSection(crossings, 'words'))).toBe('\n\nwords\n\n')
    expect(() => sectionOf('nothing')).toThrow(RangeError)
  })
})
