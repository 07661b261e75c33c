/**
 * The part of the Reflect metadata proposal that tsyringe, inside @peculiar/x509, insists on at import. Import this
 * module before it. A full polyfill is no dependency of ours, and nothing here uses decorators with metadata.
 */
type Metadata = Map<PropertyKey, unknown>

interface ReflectMetadata {
  getMetadata?: (key: PropertyKey, target: object) => unknown
  getOwnMetadata?: (key: PropertyKey, target: object) => unknown
  hasOwnMetadata?: (key: PropertyKey, target: object) => boolean
  defineMetadata?: (key: PropertyKey, value: unknown, target: object) => void
}

const reflect = Reflect as ReflectMetadata
if (!reflect.getMetadata) {
  const known = new WeakMap<object, Metadata>()
  reflect.getOwnMetadata = (key, target) => known.get(target)?.get(key)
  reflect.hasOwnMetadata = (key, target) => known.get(target)?.has(key) ?? false
  reflect.getMetadata = (key, target) => {
    for (let at: object | null = target; at; at = Object.getPrototypeOf(at) as object | null) {
      if (known.get(at)?.has(key)) return known.get(at)?.get(key)
    }
    return undefined
  }
  reflect.defineMetadata = (key, value, target) => {
    known.set(target, (known.get(target) ?? new Map<PropertyKey, unknown>()).set(key, value))
  }
}
