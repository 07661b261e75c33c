import { expect, it } from '@jest/globals'
import fc from 'fast-check'
import { Relation } from './graph.ts'

const FROM = ['a', 'b', 'c', 'd']
const TO = ['1', '2', '3']
const steps = fc.array(fc.tuple(fc.constantFrom(...FROM), fc.array(fc.constantFrom(...TO), { maxLength: 4 })), {
  maxLength: 30,
})

it('is a set of pairs, of which those of one side are replaced at a time', () => {
  fc.assert(
    fc.property(steps, all => {
      const relation = new Relation<string, string>()
      const model = new Map(FROM.map(from => [from, new Set<string>()]))
      for (const [from, to] of all) {
        const before = model.get(from) ?? new Set<string>()
        const after = new Set(to)
        model.set(from, after)
        const differing = TO.filter(one => before.has(one) !== after.has(one))
        expect([...relation.replace(from, to)].sort()).toEqual(differing)
        for (const [one, its] of model) expect([...relation.to(one)].sort()).toEqual([...its].sort())
        for (const one of TO) {
          const its = FROM.filter(other => model.get(other)?.has(one))
          expect([...relation.from(one)].sort()).toEqual(its)
          expect(relation.isReferredTo(one)).toBe(its.length > 0)
        }
      }
    }),
    { numRuns: 300 },
  )
})
