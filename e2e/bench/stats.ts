/** Medians and spreads. Pure. */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** @throws RangeError for no values: there is no figure without a measurement */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const [min, max] = [sorted[0], sorted.at(-1)]
  const upper = sorted[sorted.length >> 1]
  const lower = sorted[(sorted.length - 1) >> 1]
  if (min === undefined || max === undefined || upper === undefined || lower === undefined) {
    throw new RangeError('a spread of nothing')
  }
  return { median: (lower + upper) / 2, min, max }
}

/** `24.1 (23.0..25.9)`; the median alone where there was one round. */
export function spreadText(values: readonly number[], digits = 1): string {
  const { median, min, max } = spreadOf(values)
  const text = (value: number): string => numberText(value, digits)
  return values.length === 1 ? text(median) : `${text(median)} (${text(min)}..${text(max)})`
}

/** Thousands apart, as everywhere in the documents. */
export function numberText(value: number, digits: number): string {
  return value
    .toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
    .replaceAll(',', ' ')
}
