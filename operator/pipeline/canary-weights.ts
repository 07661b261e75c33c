/** Weights of canaries on the same paths, of what Ingresses ask for now: those that are refused because older ones leave too little. */
import { sharesOf } from '../../protocol/canary-shares.ts'
import type { CanaryRule, Fragment, ObjectKey } from '../../protocol/objects.ts'
import type { IngressContent, Problem } from '../model/types.ts'
import { Relation } from './graph.ts'

interface Known {
  readonly key: ObjectKey
  readonly createdAt: number
  readonly rule: Pick<CanaryRule, 'weight' | 'total'>
}

export class CanaryWeights {
  readonly #known = new Map<ObjectKey, Known>()
  /** Canary → `host type path`. */
  readonly #paths = new Relation<ObjectKey, string>()

  /**
   * @param fragment what the Ingress asks for; null: nothing that can be served
   * @returns other Ingresses, of which something else may be wrong now
   */
  replace(key: ObjectKey, fragment: Fragment | null): readonly ObjectKey[] {
    const { canary, createdAt = 0 } = fragment ?? {}
    const before = this.#known.get(key)
    if (canary === undefined && before === undefined) return []
    const paths = (canary?.hosts ?? []).flatMap(({ host, paths: own }) =>
      own.map(({ type, path }) => `${host} ${type} ${path}`),
    )
    const kept = this.#paths.to(key)
    const changed = this.#paths.replace(key, paths)
    const rule = canary?.rule
    if (rule === undefined) this.#known.delete(key)
    else this.#known.set(key, { key, createdAt, rule: { weight: rule.weight, total: rule.total } })
    const isSame = before?.rule.weight === rule?.weight && before?.rule.total === rule?.total
    const touched = new Set((isSame ? changed : [...kept, ...changed]).flatMap(path => [...this.#paths.from(path)]))
    touched.delete(key)
    return [...touched]
  }

  /** What is wrong with the weight of this canary. */
  problems(key: ObjectKey, { annotations }: IngressContent): readonly Problem[] {
    const own = this.#known.get(key)
    if (own === undefined || own.rule.weight === 0) return []
    const path = this.#paths.to(key).find(one => this.#isRefused(own, one))
    if (path === undefined) return []
    const name = Object.keys(annotations).find(one => one.endsWith('/canary-weight')) ?? 'canary-weight'
    const [host = '', type = '', text = ''] = path.split(' ')
    return [
      {
        ...{ key, field: `metadata.annotations[${name}]`, reason: 'CanaryWeightExceeded', effect: 'warn' },
        message: `${name}: ${own.rule.weight} of ${own.rule.total} is more than the older canaries leave of the requests of ${host === '' ? 'every other host' : host}, ${type} ${text}: by its weight this one takes none of them`,
      },
    ]
  }

  #isRefused(own: Known, path: string): boolean {
    const all = [...this.#paths.from(path)].flatMap(key => this.#known.get(key) ?? [])
    if (all.length < 2) return false
    // As the proxy sorts them (table/route.ts).
    all.sort((a, b) => a.createdAt - b.createdAt || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    return sharesOf(all.map(({ rule }) => rule))[all.indexOf(own)] === null
  }
}
