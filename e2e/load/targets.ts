/** Where load goes: proxies by ordinal. Only to this machine or to the local node's own network, never anywhere else. */
import { BlockList, isIP } from 'node:net'

export interface Target {
  /** Ordinal of the proxy's pod. */
  readonly ordinal: number
  readonly address: string
  readonly port: number
}

export class TargetError extends Error {
  override readonly name = 'TargetError'
  readonly code = 'LOAD_TARGET'
}

// Loopback, and RFC 2544's network for benchmarks, which the local node lives in.
const allowed = new BlockList()
allowed.addSubnet('127.0.0.0', 8, 'ipv4')
allowed.addSubnet('198.18.0.0', 15, 'ipv4')
allowed.addAddress('::1', 'ipv6')

/**
 * Space-separated `address:port` in ordinal order, as `.sluice/env` lists them.
 * @throws TargetError for what is no such list, or an address that load must not go to
 */
export function parseTargets(list: string): readonly Target[] {
  const items = list.split(/\s+/).filter(item => item !== '')
  if (items.length === 0) throw new TargetError('no target: the list of address:port is empty')
  return items.map((item, ordinal) => {
    const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(item) ?? []
    const address = bracketed ?? plain ?? ''
    const port = Number(digits)
    if (isIP(address) === 0 || !(port >= 1 && port <= 65_535)) throw new TargetError(`${item} is no address:port`)
    checkAddress(address)
    return { ordinal, address, port }
  })
}

/** @throws TargetError */
export function checkAddress(address: string): void {
  if (allowed.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')) return
  throw new TargetError(
    `${address}: load goes to loopback and to the local node (198.18.0.0/15) only; forward a port of another cluster to 127.0.0.1`,
  )
}
