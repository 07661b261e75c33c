/**
 * How much of its share an endpoint gets that came to a Service which had others already: caches are cold, code is not
 * compiled, pools are empty, and the less busy of two would be the new one again and again. Linear, as Envoy's slow start
 * with an aggression of 1, from a tenth (its min_weight_percent): with nothing at all it would never get warm.
 */
const LEAST = 0.1

/**
 * @param age since it came, in milliseconds
 * @param window of the setting, in milliseconds; 0: no slow start
 * @returns from a tenth to 1
 */
export function warmth(age: number, window: number): number {
  if (age >= window) return 1
  return LEAST + (1 - LEAST) * Math.max(0, age / window)
}
