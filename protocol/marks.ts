/** What may be added to heads of requests and answers: nothing that ends a line, and no field that says where a message ends or whose it is. */

/** A token (RFC 9110 5.6.2). */
export const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** Visible ASCII, blanks within (RFC 9110 5.5). */
export const FIELD_VALUE = /^[!-~](?:[ -~]*[!-~])?$/
/** `a=1&b=2`: what may stand in a query (RFC 3986 3.4), as it goes on. */
export const QUERY =
  /^(?:[A-Za-z0-9._~!$'()*+,;:@/?-]|%[0-9A-Fa-f]{2})+=(?:[A-Za-z0-9._~!$'()*+,;:@/?=-]|%[0-9A-Fa-f]{2})*(?:&(?:[A-Za-z0-9._~!$'()*+,;:@/?-]|%[0-9A-Fa-f]{2})+=(?:[A-Za-z0-9._~!$'()*+,;:@/?=-]|%[0-9A-Fa-f]{2})*)*$/

const FRAMING: ReadonlySet<string> = new Set([
  ...[
    'connection',
    'content-length',
    'keep-alive',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
  ],
])
/** What the proxy itself tells backends of a client, and what others would believe. */
const CLAIM =
  /^(?:host|expect|proxy|forwarded|max-forwards|x-(?:forwarded-.*|original-forwarded-for|real-ip|scheme|request-id|sluice-hops)|ssl-client-.*)$/

/** Nobody but the proxy writes it. `_` reads as `-` to CGI and the like. */
export function isReservedField(name: string, of: 'request' | 'response'): boolean {
  const plain = name.toLowerCase().replaceAll('_', '-')
  return FRAMING.has(plain) || (of === 'request' && CLAIM.test(plain))
}
