/** Which address stands for all of a machine's. */
import { networkInterfaces } from 'node:os'

/** `::` takes IPv4 too; a kernel without IPv6 does not know it. */
export function everyAddress(): string {
  const ipv6 = Object.values(networkInterfaces()).some(list => list?.some(address => address.family === 'IPv6'))
  return ipv6 ? '::' : '0.0.0.0'
}
