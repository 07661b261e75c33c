import { createHash } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import {
  BRANCHES,
  MOST_DIGITS,
  ROOTS,
  ROOT_PATHS,
  childPaths,
  digitOf,
  hashOf,
  levelOf,
  parentPath,
  partition,
  pathOf,
  rootOf,
  rootPath,
  shardName,
  shardOf,
} from './paths.ts'

const digits = fc.array(fc.integer({ min: 0, max: BRANCHES - 1 }), { maxLength: MOST_DIGITS })
const path = fc.tuple(fc.constantFrom(...ROOT_PATHS), digits).map(([root, rest]) => `${root}${rest.join('')}`)

describe('the path of a shard', () => {
  it.each([
    ['00', 'sluice-releases-00'],
    ['3f', 'sluice-releases-3f'],
    ['3f0', 'sluice-releases-3f-0'],
    ['0a312', 'sluice-releases-0a-312'],
  ])('%s is %s', (one, name) => {
    expect([shardName(one), pathOf(name)]).toEqual([name, one])
  })

  it.each([
    ['sluice-releases-40'],
    ['sluice-releases-3F'],
    ['sluice-releases-3'],
    ['sluice-releases-3f-'],
    ['sluice-releases-3f-4'],
    ['sluice-releases-3f-0-1'],
    ['sluice-releases-3f0'],
    ['sluice-releases-3f-0-copy'],
    ['my-sluice-releases-3f'],
    [`sluice-releases-3f-${'0'.repeat(MOST_DIGITS + 1)}`],
    ['sluice-releases-complete'],
  ])('is none of %s', name => {
    expect(pathOf(name)).toBeNull()
  })

  it('is told by its name, and has one parent', () => {
    fc.assert(
      fc.property(path, one => {
        const name = shardName(one)
        expect(pathOf(name)).toBe(one)
        expect(name).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/)
        for (const child of childPaths(one)) {
          expect([parentPath(child), levelOf(child)]).toEqual([one, levelOf(one) + 1])
        }
      }),
    )
    expect(new Set(ROOT_PATHS.map(shardName)).size).toBe(ROOTS)
    expect(parentPath('3f')).toBeNull()
  })
})

describe('the shard of an object', () => {
  it('is at its root the one that older operators know', () => {
    fc.assert(
      fc.property(fc.uuid(), uid => {
        const byte = createHash('sha256').update(uid).digest().readUInt8(0)
        expect(shardName(shardOf(uid))).toBe(`sluice-releases-${(byte % 64).toString(16).padStart(2, '0')}`)
      }),
    )
  })

  it('follows from bits of its own at every level', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), hash => {
        // Read as one number, the lowest bits first.
        let rest = [...hash].reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n)
        expect(rootOf(hash)).toBe(Number(rest % 64n))
        rest /= 64n
        for (let level = 0; level < MOST_DIGITS; level++) {
          expect(digitOf(hash, level)).toBe(Number(rest % 4n))
          rest /= 4n
        }
      }),
    )
  })

  it('is one alone where a shard is divided', () => {
    const uids = Array.from({ length: 4_000 }, (_, i) => `uid-${i}`)
    for (const level of [0, 1, 5]) {
      const parts = partition(new Map(uids.map(uid => [uid, uid])), level)
      expect(parts).toHaveLength(BRANCHES)
      expect(parts.flatMap(part => [...part.keys()]).sort()).toEqual([...uids].sort())
      for (const [digit, part] of parts.entries()) {
        expect([...part.keys()].every(uid => digitOf(hashOf(uid), level) === digit)).toBe(true)
        expect(part.size).toBeGreaterThan(850)
      }
    }
    expect(rootPath(63)).toBe('3f')
  })
})
