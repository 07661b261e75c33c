/** Every state that a rollout can reach is written in a way that the API server takes and a new leader understands. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import { parse } from 'yaml'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { circumstance, happen, happening, settings, world } from './machine/random.ts'
import type { Happening } from './machine/random.ts'
import type { World } from './machine/testing.ts'
import { NEW } from './machine/testing.ts'
import { fromStatus, toStatus } from './status.ts'

const APPROVE: Happening = { do: 'approve' }

interface Schema {
  readonly properties: Readonly<Record<string, Schema>>
}
interface Crd {
  readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[] }
}

const crd = parse(readFileSync(join(__dirname, '../../crds/ingressrollouts.yaml'), 'utf8')) as Crd
const ajv = new Ajv({ strict: false, allErrors: true })
addFormats.default(ajv)
const valid = ajv.compile(closed(crd.spec.versions[0]!.schema.openAPIV3Schema.properties['status']!))

/** The API server drops fields that it does not know; here they are mistakes. */
function closed(schema: unknown): object {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema as object
  const entries = Object.entries(schema).map(([name, part]): [string, unknown] => [name, closed(part)])
  return { ...Object.fromEntries(entries), ...('properties' in schema ? { additionalProperties: false } : {}) }
}

/** As it comes back from the API server. */
function written(run: World, previous: IngressRolloutStatus | undefined): IngressRolloutStatus {
  const status = toStatus(run.state, run.observe(), run.settings, { previous, generation: 1, policy: null })
  return JSON.parse(JSON.stringify(status)) as IngressRolloutStatus
}

describe('the status of every reachable state', () => {
  it('is what the CRD allows, and gives back what a new leader needs', () => {
    const phases = new Set<string>()
    const told = fc.property(settings, fc.array(happening, { minLength: 3, maxLength: 12 }), (some, story) => {
      const run = world(some)
      let status: IngressRolloutStatus | undefined
      for (const one of story) {
        happen(run, one, () => undefined)
        status = written(run, status)
        expect(valid(status) ? [] : valid.errors).toEqual([])
        const { state } = run
        phases.add(state.phase)
        const { phase, attempt, observedRetry, batch, index, message, cause, baseline } = state
        const { startedAt, batchStartedAt, finishedAt } = state
        expect(fromStatus(status)).toEqual({
          ...{ phase, attempt, observedRetry, batch, index, message, cause, baseline },
          ...{ startedAt, batchStartedAt, finishedAt },
        })
      }
    })
    fc.assert(told, { numRuns: 100 })
    // These stories are the same every time: they are known to come to every phase.
    fc.assert(told, { numRuns: 150, seed: 1 })
    expect([...phases].sort()).toEqual([
      ...['Complete', 'Paused', 'Pending', 'Progressing', 'RolledBack', 'RollingBack', 'Superseded'],
    ])
  })

  it('has exactly the conditions that go with the phase', () => {
    fc.assert(
      fc.property(settings, fc.array(happening, { maxLength: 12 }), (some, story) => {
        const run = world(some)
        for (const one of story) happen(run, one, () => undefined)
        const { phase, conditions = [] } = written(run, undefined)
        const own = conditions.slice(conditions.findIndex(one => one.type === 'Progressing'))
        const holding = own.filter(one => one.status === 'True').map(one => one.type)
        const named = ['Progressing', 'Complete', 'RolledBack', 'Paused'].includes(phase!)
        expect(holding).toEqual(named ? [phase] : [])
        expect(own).toHaveLength(5)
        const forKstatus = conditions.slice(0, -5).filter(one => one.status === 'True')
        expect(forKstatus).toHaveLength(phase === 'Superseded' ? 0 : 1)
      }),
      { numRuns: 60 },
    )
  })
})

describe('leaders that come and go, with a status that is sometimes old', () => {
  const quiet = fc.oneof({ weight: 8, arbitrary: circumstance }, { weight: 1, arbitrary: fc.constant(APPROVE) })
  const change = fc.constantFrom('stay', 'stay', 'new', 'new with an old status', 'new without a status')

  it('release only what a leader judged: this one, or one whose word is written for this very index', () => {
    let released = 0
    const story = fc.array(fc.tuple(quiet, change), { minLength: 4, maxLength: 16 })
    fc.assert(
      fc.property(settings, story, (some, chapters) => {
        const run = world(some)
        let [current, old] = [written(run, undefined), written(run, undefined)]
        let [judged, index] = [0, 0]
        for (const [one, leader] of chapters) {
          if (leader !== 'stay') {
            const read = fromStatus(leader === 'new' ? current : leader === 'new with an old status' ? old : undefined)
            judged = run.record.rollout?.step === 'waiting' ? run.record.index : 0
            run.newLeader(read)
          }
          old = current
          happen(run, one, () => {
            for (const made of run.results.at(-1)?.commands ?? []) {
              if (made.type === 'event' && made.reason === 'BatchPassed' && !made.message.includes('adds no pod')) {
                judged = index
              }
              if (made.type !== 'release') continue
              released++
              expect(judged).toBeGreaterThanOrEqual(index)
            }
            index = run.record.index
            current = written(run, current)
          })
        }
      }),
      { numRuns: 200 },
    )
    expect(released).toBeGreaterThan(20)
  })

  it('never release what fails its gates', () => {
    fc.assert(
      fc.property(settings, fc.array(fc.tuple(quiet, change), { maxLength: 12 }), (some, chapters) => {
        const run = world(some)
        run.onUpdate = { requests: 50, failures: 25 }
        let [current, old] = [written(run, undefined), written(run, undefined)]
        for (const [one, leader] of chapters) {
          if (leader === 'new') run.newLeader(fromStatus(current))
          if (leader === 'new with an old status') run.newLeader(fromStatus(old))
          if (leader === 'new without a status') run.newLeader(null)
          old = current
          // Whoever approves what lacks evidence has decided; here nobody does.
          if (one !== APPROVE && one.do !== 'clients') happen(run, one, () => expect(run.record.current).not.toBe(NEW))
          current = written(run, current)
        }
      }),
      { numRuns: 100 },
    )
  })
})
