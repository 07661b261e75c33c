/** Canaries on the same paths, of what Ingresses ask for now: those that take nothing because of older ones. */
import { MOST_CANARIES, sharesOf } from '../../protocol/canary-shares.ts'
import type { CanaryRule, Fragment, ObjectKey } from '../../protocol/objects.ts'
import type { IngressContent, Problem } from '../model/types.ts'
import { Relation } from './graph.ts'

interface Known {
  readonly key: ObjectKey
  readonly createdAt: number
  readonly rule: Pick<CanaryRule, 'weight' | 'total'>
}

export class CanaryNeighbours {
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

  /** What keeps this canary from requests that it asks for. */
  problems(key: ObjectKey, { annotations }: IngressContent): readonly Problem[] {
    const own = this.#known.get(key)
    if (own === undefined) return []
    const paths = this.#paths.to(key)
    const crowded = paths.find(path => this.#olderOn(path, own) >= MOST_CANARIES)
    if (crowded !== undefined) {
      const field = nameOf(annotations, 'canary')
      const message = `${MOST_CANARIES} older canaries are on ${pathInWords(crowded)}: this one takes none of its requests`
      return [{ key, field: `metadata.annotations[${field}]`, reason: 'CanariesTooMany', effect: 'warn', message }]
    }
    const refused = own.rule.weight === 0 ? undefined : paths.find(path => this.#isRefused(own, path))
    if (refused === undefined) return []
    const name = nameOf(annotations, 'canary-weight')
    return [
      {
        ...{ key, field: `metadata.annotations[${name}]`, reason: 'CanaryWeightExceeded', effect: 'warn' },
        message: `${name}: ${own.rule.weight} of ${own.rule.total} is more than the older canaries leave of the requests of ${pathInWords(refused)}: by its weight this one takes none of them`,
      },
    ]
  }

  #on(path: string): Known[] {
    return [...this.#paths.from(path)].flatMap(key => this.#known.get(key) ?? [])
  }

  #olderOn(path: string, own: Known): number {
    const all = this.#on(path)
    // Nobody looks further where there cannot be so many.
    return all.length <= MOST_CANARIES ? 0 : all.filter(one => byAge(one, own) < 0).length
  }

  #isRefused(own: Known, path: string): boolean {
    const all = this.#on(path)
    if (all.length < 2) return false
    all.sort(byAge)
    return sharesOf(all.map(({ rule }) => rule))[all.indexOf(own)] === null
  }
}

/** As the proxy sorts them (table/route.ts). */
function byAge(a: Known, b: Known): number {
  return a.createdAt - b.createdAt || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
}

/** With the prefix that it was written with. */
function nameOf(annotations: IngressContent['annotations'], name: string): string {
  return Object.keys(annotations).find(one => one.endsWith(`/${name}`)) ?? name
}

function pathInWords(path: string): string {
  const [host = '', type = '', text = ''] = path.split(' ')
  return `${host === '' ? 'every other host' : host}, ${type} ${text}`
}
