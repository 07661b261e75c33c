import { beforeEach, expect, it } from '@jest/globals'
import { PodState } from './pod-state.ts'
import type { Delta } from './pod-state.ts'
import { ServedWorld } from './testing/world.ts'
import type { World, WorldChange } from './world.ts'

const A = 'Ingress/shop/a'
const B = 'Ingress/shop/b'

let released: ServedWorld
let state: PodState
let world: World

beforeEach(() => {
  released = new ServedWorld([[A, 'r1']])
  state = new PodState(0)
  take(released.change([]))
  state.begin(world)
})

function take(change: WorldChange): void {
  world = change.world
  state.note(change)
}

function serve(key: string, revision: string | null): void {
  if (revision === null) released.served.delete(key)
  else released.served.set(key, revision)
  take(released.change([key]))
}

const words = (delta: Delta | null): unknown =>
  delta === null
    ? null
    : {
        assigned: delta.assignments.map(({ key, assigned }) => [key, assigned]),
        payloads: delta.fragments.map(({ key, revision }) => [key, revision]),
        removed: delta.removed,
      }

it('what changed more than once is compared with what the pod was sent', () => {
  serve(A, 'r2')
  // Named again, and nothing is new of it.
  serve(A, 'r2')
  expect(words(state.delta(world))).toEqual({ assigned: [[A, 'r2']], payloads: [[A, 'r2']], removed: [] })
  expect(state.delta(world)).toBeNull()
  serve(A, 'r3')
  serve(A, 'r2')
  expect(state.delta(world)).toBeNull()
})

it('of what came and went meanwhile the pod hears nothing', () => {
  serve(B, 'r1')
  serve(B, null)
  expect(state.delta(world)).toBeNull()
  serve(B, 'r1')
  expect(words(state.delta(world))).toEqual({ assigned: [[B, 'r1']], payloads: [[B, 'r1']], removed: [] })
  serve(B, null)
  expect(words(state.delta(world))).toEqual({ assigned: [], payloads: [], removed: [B] })
})

it('each change goes on from the hash of the one before, and ends at that of the world', () => {
  const begun = state.stateHash
  serve(A, 'r2')
  const first = state.delta(world)
  expect(first).toMatchObject({ base: begun, stateHash: world.stateHash(0) })
  serve(B, 'r1')
  expect(state.delta(world)).toMatchObject({ base: first?.stateHash, stateHash: world.stateHash(0) })
})

it('a whole world forgets what was to be sent of another', () => {
  serve(A, 'r2')
  expect(state.differing).toEqual({ objects: 1, services: 0 })
  state.begin(world)
  expect(state.differing).toEqual({ objects: 0, services: 0 })
  expect(state.delta(world)).toBeNull()
  const { entries, stateHash } = state.snapshot(world)
  expect([...entries].map(({ assignment }) => assignment.assigned)).toEqual(['r2'])
  expect(stateHash).toBe(world.stateHash(0))
})
