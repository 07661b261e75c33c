/** The name in /hosts/<name>. */

const MOST = 253
/** What an Ingress may have as a host, and names with underscores, which clients may ask for. */
const NAME = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/

/** @returns lower case, without a dot at the end, as the table has names; null: it is none */
export function hostName(text: string): string | null {
  const name = text.toLowerCase().replace(/\.$/, '')
  return name.length <= MOST && NAME.test(name) ? name : null
}
