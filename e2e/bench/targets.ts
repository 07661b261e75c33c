/** What a figure has to be, and whether it is. Pure. */
import { numberText, spreadOf } from './stats.ts'

export interface Limit {
  /** `Held of a plain host`. */
  readonly what: string
  /** The figure may be so much. */
  readonly most: number
  readonly unit: string
  /** Hosts for which it is asked; null: for any number. */
  readonly hosts: number | null
  /** Behind the point. Default: 0. */
  readonly digits?: number
}

/**
 * `Held of a plain host, 500 000 of them: at most 250 bytes; this build: 234: reached.` The median decides. Nothing is decided where there
 * were fewer or more hosts than the target asks for. @param hosts how many there were
 */
export function judged(
  { what, most, unit, hosts: asked, digits = 0 }: Limit,
  figures: readonly number[],
  hosts: number,
): string {
  const { median } = spreadOf(figures)
  const count = asked === null ? '' : `, ${numberText(asked, 0)} of them`
  const figure = numberText(median, digits)
  const verdict =
    asked !== null && asked !== hosts
      ? `, with ${numberText(hosts, 0)} of them: ${figure}, which decides nothing`
      : `: ${figure}: ${median <= most ? 'reached' : '**missed**'}`
  return `${what}${count}: at most ${numberText(most, digits)} ${unit}; this build${verdict}.`
}
