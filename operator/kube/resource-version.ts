/**
 * Versions of objects of one kind compare as integers (API concepts, "Resource versions"; KEP-5504, since Kubernetes 1.35;
 * every API server on etcd has always counted this way).
 */

/** Neither 0, which stands for "any", nor a leading zero. */
const VERSION = /^[1-9][0-9]*$/

/**
 * @param held null: none
 * @returns true where nobody can tell
 */
export function isNewer(version: string, held: string | null): boolean {
  if (held === null || !VERSION.test(version) || !VERSION.test(held)) return version !== held
  return version.length === held.length ? version > held : version.length > held.length
}
