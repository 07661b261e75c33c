/** Keys, names and ordinals: how objects and pods are named. */
import type { ObjectKey, ObjectKind, ServiceKey } from './objects.ts'

export function objectKey(kind: ObjectKind, namespace: string, name: string): ObjectKey {
  return `${kind}/${namespace}/${name}`
}

export function parseObjectKey(key: ObjectKey): { kind: ObjectKind; namespace: string; name: string } {
  const [kind, namespace, name, more] = key.split('/')
  if ((kind !== 'Ingress' && kind !== 'Secret') || !namespace || !name || more !== undefined) {
    throw new TypeError(`not an object key: ${JSON.stringify(key)}`)
  }
  return { kind, namespace, name }
}

export function serviceKey(namespace: string, name: string, port: number | string): ServiceKey {
  return `${namespace}/${name}:${port}`
}

/** The ordinal of a StatefulSet's pod; -1 for any other name, which counts as infinitely high. */
export function podOrdinal(podName: string): number {
  const digits = /^.+-(0|[1-9][0-9]{0,8})$/.exec(podName)?.[1]
  return digits === undefined ? -1 : Number(digits)
}
