/** What must come first comes first; what would have to come before itself comes at once. */
import type { Steps } from '../turns.ts'

/** Looked at between two yields. */
const STEP = 128

interface Visit<N> {
  readonly node: N
  readonly index: number
  readonly left: Iterator<N>
  /** Index of the first node, of those not grouped yet, that this one leads back to. */
  low: number
}

/**
 * Groups of nodes: each comes after all that its nodes need, and nodes that need each other, directly or by others, are in
 * one group. Where nothing says otherwise, in the order of the nodes. These are Tarjan's strongly connected components
 * (SIAM J. Comput. 1(2), 1972), without recursion: a chain may be as long as there are nodes.
 *
 * @param needs nodes that may not come later than this one; those that are none of `nodes` are not looked at
 */
export function* inOrder<N>(nodes: ReadonlySet<N>, needs: (node: N) => Iterable<N>): Steps<readonly (readonly N[])[]> {
  const groups: N[][] = []
  /** Nodes of finished groups lead nowhere: Infinity. */
  const indices = new Map<N, number>()
  const open: N[] = []
  const path: Visit<N>[] = []
  const enter = (node: N): void => {
    const index = indices.size
    indices.set(node, index)
    open.push(node)
    path.push({ node, index, left: needs(node)[Symbol.iterator](), low: index })
  }
  let seen = 0
  for (const root of nodes) {
    if (!indices.has(root)) enter(root)
    for (let visit = path.at(-1); visit !== undefined; visit = path.at(-1)) {
      if (++seen % STEP === 0) yield
      const next = visit.left.next()
      if (next.done !== true) {
        if (!nodes.has(next.value)) continue
        const index = indices.get(next.value)
        if (index === undefined) enter(next.value)
        else visit.low = Math.min(visit.low, index)
        continue
      }
      path.pop()
      const above = path.at(-1)
      if (above !== undefined) above.low = Math.min(above.low, visit.low)
      if (visit.low < visit.index) continue
      const group = open.splice(open.lastIndexOf(visit.node))
      for (const node of group) indices.set(node, Infinity)
      groups.push(group)
    }
  }
  return groups
}
