/** The rollout annotations by short names. Pure. */

export const PREFIX = 'nginx.ingress.kubernetes.io'
export const CONDITIONS = 'tengine.taobao.org/conditions'

export interface StampValues {
  readonly flag?: string | null
  readonly current?: string | null
  readonly update?: string | null
  readonly index?: string | number | null
}

const NAMES: Readonly<Record<keyof StampValues, string>> = {
  flag: '',
  current: '-current-revision',
  update: '-update-revision',
  index: '-index-id',
}

/** Annotations of an Ingress or Secret; null takes one away. */
export function stamp(
  values: StampValues,
  kind: 'ingress' | 'secret' = 'ingress',
): Readonly<Record<string, string | null>> {
  const pairs = (Object.keys(NAMES) as (keyof StampValues)[]).flatMap(name => {
    const value = values[name]
    return value === undefined
      ? []
      : [[`${PREFIX}/${kind}-rollout${NAMES[name]}`, value === null ? null : String(value)]]
  })
  return Object.fromEntries(pairs) as Readonly<Record<string, string | null>>
}

/** The same for a manifest, where nothing can be taken away. */
export function stamped(values: StampValues, kind: 'ingress' | 'secret' = 'ingress'): Readonly<Record<string, string>> {
  const kept = Object.entries(stamp(values, kind)).filter((pair): pair is [string, string] => pair[1] !== null)
  return Object.fromEntries(kept)
}

export interface Accepted {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
}

/** The conditions that the operator writes on an Ingress or Secret while something is wrong with it. */
export function conditionsOf(annotations: Readonly<Record<string, string>> | undefined): readonly Accepted[] {
  const text = annotations?.[CONDITIONS]
  return text === undefined ? [] : (JSON.parse(text) as readonly Accepted[])
}
