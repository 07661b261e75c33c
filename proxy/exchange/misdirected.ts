/**
 * Requests on a connection that was opened for another host. A client of HTTP/2 may send them where it takes the certificate
 * to be good for both (RFC 9113 9.1.1), as one with a wildcard is. What is shown for a host decides here who may be asked
 * for it: a host with certificates of its own is answered 421 on another one's connection (RFC 9110 15.5.20), and the client opens one for it.
 */
import type { TableReader } from '../table/contract.ts'
import type { Peer } from './peer.ts'

/**
 * @param host of the request, as Target.host
 *
 * Of HTTP/1.1 nobody asks: its clients send what they opened the connection for. A client that named no host at all was shown
 * the default certificate, and chose to go on with it.
 */
export function isMisdirected(
  host: string,
  { tls }: Pick<Peer, 'tls'>,
  table: Pick<TableReader, 'certificates'>,
): boolean {
  const serverName = tls?.serverName ?? null
  if (serverName === null || serverName === host) return false
  const shown = table.certificates(serverName)
  const own = table.certificates(host)
  if (shown === own) return false
  return shown.length !== own.length || shown.some(({ key }, i) => key !== own[i]?.key)
}
