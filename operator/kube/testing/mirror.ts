/** A handler that believes what it is told, and notices when it is told nonsense. */
import type { Handler } from '../handler.ts'
import type { KubeObject } from '../objects.ts'
import { nameKey } from '../objects.ts'

const versionOf = (object: KubeObject | undefined): string => object?.metadata.resourceVersion ?? 'none'

export class Mirror<T extends KubeObject> implements Handler<T> {
  readonly objects = new Map<string, T>()
  /** `+` added, `~` changed, `-` removed, by name, in order. */
  readonly calls: string[] = []
  /** Calls that do not follow from those before. */
  readonly contradictions: string[] = []

  upsert(object: T, old: T | undefined): void {
    const key = nameKey(object.metadata)
    const known = this.objects.get(key)
    if (known !== old)
      this.contradictions.push(`${key}: old is ${versionOf(old)}, ${versionOf(known)} was handed over before`)
    if (known !== undefined && known.metadata.uid !== object.metadata.uid)
      this.contradictions.push(`${key}: became another object without a removal`)
    if (known !== undefined && versionOf(known) === versionOf(object))
      this.contradictions.push(`${key}: ${versionOf(object)} twice`)
    this.objects.set(key, object)
    this.calls.push(`${known === undefined ? '+' : '~'}${object.metadata.name}`)
  }

  remove(object: T): void {
    const key = nameKey(object.metadata)
    if (!this.objects.delete(key)) this.contradictions.push(`${key}: removed, and was not there`)
    this.calls.push(`-${object.metadata.name}`)
  }

  /** Name, uid and version of each object: enough to tell two states of a collection apart. */
  get state(): readonly string[] {
    return stateOf(this.objects.values())
  }
}

export function stateOf(objects: Iterable<KubeObject>): readonly string[] {
  return [...objects].map(o => `${o.metadata.name} ${o.metadata.uid ?? ''} ${versionOf(o)}`).sort()
}
