import { describe, expect, it } from '@jest/globals'
import type { Probe } from '../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { parsePolicy } from '../model/policy.ts'
import { probeId, probeWords } from '../model/probes.ts'
import type { IngressContent } from '../model/types.ts'
import { policy } from '../pipeline/testing.ts'
import { observedProbes, probesFor } from './probes.ts'
import type { Rollout } from './rollouts.ts'
import { viewOf } from './testing-views.ts'

const analysis = {
  successRate: { min: 99 },
  probes: [
    { host: 'a.example', path: '/' },
    { host: 'b.example', path: '/' },
  ],
}
const POLICY = parsePolicy(policy({ spec: { analysis } }))
const [A, B] = POLICY.settings.probes as readonly [Probe, Probe]

function content(...hosts: readonly (string | undefined)[]): IngressContent {
  return {
    ...{ kind: 'Ingress', annotations: {} },
    spec: { rules: hosts.map(host => (host === undefined ? {} : { host })) },
  }
}

describe('probesFor', () => {
  it.each<[string, readonly Probe[], IngressContent]>([
    ['a host of a rule', [A], content('a.example', 'c.example')],
    ['both', [A, B], content('b.example', 'a.example')],
    ['the host of a wildcard', [A, B], content('*.example')],
    ['none where it has other hosts', [], content('x.a.example', 'example')],
    ['none where it answers for every host', [], content(undefined)],
    ['none without rules', [], content()],
  ])('is %s', (_name, found, of) => {
    expect(probesFor(POLICY.settings, [of, null])).toEqual(found)
  })

  it('is also that of a host that the update gives up: it is asked for there, and lost', () => {
    expect(probesFor(POLICY.settings, [content('b.example'), content('a.example')])).toEqual([A, B])
  })

  it('is nothing of Secrets, of what leaves, and without a policy', () => {
    expect(probesFor(POLICY.settings, [{ kind: 'Secret', chain: '', privateKey: '' }, null])).toEqual([])
    expect(probesFor(POLICY.settings, [null, content('a.example')])).toEqual([])
    expect(probesFor(null, [content('a.example'), null])).toEqual([])
    expect(probesFor({}, [content('a.example'), null])).toEqual([])
  })
})

describe('what pods are told to probe', () => {
  const KEY = 'Ingress/shop/web'
  const rollout = (phase: NonNullable<Rollout['status']>['phase'] | undefined, revision = 'v2'): Rollout => ({
    ...{
      object: KEY,
      namespace: 'shop',
      name: 'r',
      id: 'u',
      uid: 'u',
      resourceVersion: '1',
      generation: 1,
      createdAt: 0,
    },
    ...{ owned: true, supersededBefore: 0 },
    spec: {
      ...{ objectRef: { kind: 'Ingress', name: 'web', uid: 'u1' }, revision, retry: 0 },
      ...{ paused: false, approvedBatches: 0, abort: false, promote: false },
    },
    status: phase === undefined ? undefined : { phase, attempt: 1 },
  })
  const source = { content: content('a.example') }
  const view = viewOf({ content: 'v2', source, policy: POLICY, record: { update: 'v2', index: 1 } })
  const asked = (of: Rollout, seen = view): readonly string[] =>
    observedProbes([of], () => seen).map(({ object, host, id }) => `${object} ${host} ${id}`)

  it.each<[NonNullable<Rollout['status']>['phase'] | undefined, boolean]>([
    ['Progressing', true],
    ['Paused', true],
    ['Pending', false],
    [undefined, false],
    ['Complete', false],
    ['RolledBack', false],
  ])('of a rollout in phase %s: %p', (phase, isAsked) => {
    const shown = viewOf({ content: 'v2', source, policy: POLICY, record: { update: 'v2', index: 0 } })
    expect(asked(rollout(phase), shown)).toEqual(isAsked ? [`${KEY} a.example ${probeId(A)}`] : [])
  })

  it.each<[NonNullable<Rollout['status']>['phase'] | undefined, number, boolean]>([
    [undefined, 1, true],
    ['Pending', 1, true],
    [undefined, 0, false],
    ['RolledBack', 1, false],
  ])(
    'begins with the record that lets pods have it, before its status says so: phase %s, index %d: %p',
    (phase, index, isAsked) => {
      const out = viewOf({ content: 'v2', source, policy: POLICY, record: { update: 'v2', index } })
      expect(observedProbes([rollout(phase)], () => out)).toHaveLength(isAsked ? 1 : 0)
      const others = viewOf({ content: 'v2', source, policy: POLICY, record: { update: 'v3', index } })
      expect(observedProbes([rollout(undefined)], () => others)).toEqual([])
    },
  )

  it('is what the rollout began with, whatever becomes of its policy', () => {
    const settings = { ...POLICY.settings, probes: [{ ...A, path: '/began' }] }
    const record = { update: 'v2', index: 1, rollout: { revision: 'v2', settings } }
    const began = viewOf({ content: 'v2', source, policy: POLICY, record })
    expect(observedProbes([rollout('Progressing')], () => began).map(({ path }) => path)).toEqual(['/began'])
  })

  it('is nothing for a deletion, and nothing for what is gone', () => {
    expect(asked(rollout('Progressing', ABSENT_REVISION))).toEqual([])
    expect(observedProbes([rollout('Progressing')], () => null)).toEqual([])
  })
})

it('is named without its query, and never longer than a message', () => {
  expect(probeWords({ ...A, path: '/login?token=x' })).toBe('GET http://a.example/login')
  expect(probeWords({ ...A, path: `/${'x'.repeat(1_000)}` }).length).toBeLessThan(200)
})
