/** Addresses of endpoints as the operator names them. */

/** @param address `ip:port`, IPv6 in brackets */
export function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) }
}
