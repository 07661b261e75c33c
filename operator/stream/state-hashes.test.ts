import { expect, it } from '@jest/globals'
import fc from 'fast-check'
import { StateHash } from '../../protocol/hash.ts'
import type { Assignment } from '../../protocol/objects.ts'
import { StateHashes } from './state-hashes.ts'
import type { Shares } from './state-hashes.ts'

const KEYS = ['Ingress/shop/a', 'Ingress/shop/b', 'Secret/shop/tls']
const ORDINALS = [-1, 0, 1, 2, 3, 7]

const assignment = (key: string, revision: string): Assignment => ({
  ...{ key, id: `${key}:r2`, announced: 'r2', current: 'r1', assigned: revision, digest: revision },
})

const shares = fc.record({
  key: fc.constantFrom(...KEYS),
  index: fc.constantFrom(0, 1, 2, 3, Infinity),
  revision: fc.constantFrom('r1', 'r2', 'r3'),
  isThere: fc.boolean(),
})

it('is the hash of all that a pod is to serve, whatever came, changed and went', () => {
  fc.assert(
    fc.property(fc.array(shares, { maxLength: 30 }), steps => {
      const hashes = new StateHashes()
      const model = new Map<string, Shares>()
      for (const { key, index, revision, isThere } of steps) {
        const after = isThere ? { index, low: assignment(key, revision), high: assignment(key, 'r1') } : null
        hashes.replace(key, model.get(key) ?? null, after)
        if (after === null) model.delete(key)
        else model.set(key, after)
        for (const ordinal of ORDINALS) {
          const expected = new StateHash()
          for (const { index: at, low, high } of model.values())
            expected.toggle(ordinal >= 0 && ordinal < at ? low : at === Infinity ? low : high)
          expect([ordinal, hashes.of(ordinal)]).toEqual([ordinal, expected.hex])
        }
      }
    }),
    { numRuns: 200 },
  )
})
