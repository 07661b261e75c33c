import { expect, it } from '@jest/globals'
import fc from 'fast-check'
import { ROOT_PATHS, childPaths } from './paths.ts'
import { ShardError } from './shards.ts'
import { ShardTree } from './tree.ts'
import type { ShardFile } from './tree.ts'

it('knows which shards cannot be read without a look at all, whatever came in which order', () => {
  const roots = ROOT_PATHS.slice(0, 2)
  const paths = [...roots, ...roots.flatMap(childPaths)]
  const event = fc.record({
    path: fc.constantFrom(...paths),
    does: fc.constantFrom('fails', 'locked', 'is there', 'is split', 'is there of it', 'is lost'),
  })
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), events => {
      const said: string[] = []
      const tree = new ShardTree({
        changed: () => undefined,
        failed: ({ path }) => said.push(path),
        moved: () => undefined,
      })
      for (const { path, does } of events) {
        const shard = tree.at(path)
        const file = (of: string, split: string): ShardFile => ({
          ...{ of, split, resourceVersion: '1', sealedWith: new Set(), isBare: false },
          records: split === '' ? new Map() : null,
        })
        if (does === 'is lost') tree.lose(shard)
        else if (does === 'is there') tree.take(shard, file('', ''))
        else if (does === 'is there of it') tree.take(shard, file('s', ''))
        else if (does === 'is split') tree.take(shard, file('', 's'))
        else {
          const stored = { name: shard.name, resourceVersion: '1', data: '' }
          const before = said.length
          const isLocked = does === 'locked'
          tree.fail(shard, new ShardError(shard.name, 'no', isLocked), isLocked ? stored : null)
          expect(said.slice(before)).toEqual(shard.isLinked ? [path] : [])
        }
        const seen = [...tree.all()].filter(({ failure }) => failure !== null)
        expect(new Set(tree.failing())).toEqual(new Set(seen))
        expect(tree.failing().map(one => one.path)).toEqual(seen.map(one => one.path).sort())
      }
    }),
  )
})
