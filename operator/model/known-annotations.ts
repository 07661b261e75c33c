/**
 * The annotations of ingress-nginx 1.15 and Tengine-Ingress 1.1 that this version knows and does not support,
 * by what follows from that. TENGINE.md §3 to §5, §9; DESIGN "Inside a proxy pod", last item.
 */
import { isIP } from 'node:net'
import { parseGoBoolean } from './stamp.ts'

/** Names without prefix, each with what it would protect: without support its paths answer 503. */
export const PROTECTIVE: Readonly<Record<string, string>> = {
  'whitelist-source-range': 'who may connect',
  'allowlist-source-range': 'who may connect',
  'denylist-source-range': 'who may not connect',
  satisfy: 'how access rules combine',
  'enable-global-auth': 'authentication',
  'ssl-passthrough': 'TLS up to the backend',
  'enable-modsecurity': 'the web application firewall',
  'enable-owasp-core-rules': 'the web application firewall',
  'modsecurity-snippet': 'the web application firewall',
  'ingress-referrer': 'who may use the host',
}

/** Families: every name that starts so. */
export const PROTECTIVE_FAMILIES: Readonly<Record<string, string>> = {
  'auth-': 'authentication',
  'auth-tls-': 'authentication by client certificates',
  'limit-': 'limits',
  'global-rate-limit': 'limits',
  'proxy-ssl-': 'TLS to the backend',
}

/** Whether a value asks for no more than what happens anyway. `of` gives the value of another annotation of the Ingress. */
type Off = (value: string, of: (name: string) => string | undefined) => boolean

const isFalse: Off = value => parseGoBoolean(value) === false
const isWord =
  (...words: readonly string[]): Off =>
  value =>
    words.includes(value.trim())
/** ingress-nginx sets no limit for 0 (tried: NGINX.md 96). */
const isZero: Off = value => /^\s*0+\s*$/.test(value)
/** Without a request for a certificate, nothing that would be done with one is done. */
const isUnasked: Off = (_, of) => of('auth-tls-verify-client')?.trim() === 'off'

/**
 * Values that protect nothing close nothing: what ingress-nginx makes of them is an Ingress that is open (NGINX.md).
 * What does not parse is not here: it may be a protection that somebody wrote wrongly.
 */
export const OFF: Readonly<Record<string, Off>> = {
  'whitelist-source-range': (value, of) => of('allowlist-source-range') !== undefined || letsEverybodyIn(value),
  'allowlist-source-range': letsEverybodyIn,
  satisfy: isWord('all'),
  'enable-global-auth': isFalse,
  'ssl-passthrough': isFalse,
  'enable-modsecurity': isFalse,
  'enable-owasp-core-rules': isFalse,
  'modsecurity-snippet': value => value.split('\n').every(line => /^(#.*|SecRuleEngine\s+Off)?$/i.test(line.trim())),
  'auth-always-set-cookie': isFalse,
  'auth-tls-verify-client': isWord('off'),
  'auth-tls-secret': isUnasked,
  'auth-tls-verify-depth': isUnasked,
  'auth-tls-error-page': isUnasked,
  'auth-tls-pass-certificate-to-upstream': (value, of) => parseGoBoolean(value) === false || isUnasked(value, of),
  'limit-rps': isZero,
  'limit-rpm': isZero,
  'limit-connections': isZero,
  'limit-rate': isZero,
  'limit-rate-after': isZero,
  'global-rate-limit': isZero,
  'proxy-ssl-verify': isWord('off'),
  'proxy-ssl-server-name': isWord('off'),
  'backend-protocol': value => value.trim().toUpperCase() === 'HTTP',
  // Known ones of which "false" is what is done without them.
  'enable-cors': isFalse,
  'enable-rewrite-log': isFalse,
  'force-ssl-redirect': isFalse,
  'from-to-www-redirect': isFalse,
  'service-upstream': isFalse,
  'ssl-redirect': isFalse,
  'use-regex': isFalse,
}

/** Every address of both families: nginx denies whoever is not named, and 0.0.0.0/0 alone leaves out IPv6. */
function letsEverybodyIn(ranges: string): boolean {
  const open = new Set<number>()
  for (const range of ranges.split(',').map(part => part.trim())) {
    const [address = '', length, ...more] = range.split('/')
    const family = isIP(address)
    const bits = length === undefined ? null : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN
    // One bad entry closes the Ingress at ingress-nginx.
    if (family === 0 || more.length > 0 || (bits !== null && !(bits <= (family === 4 ? 32 : 128)))) return false
    if (bits === 0) open.add(family)
  }
  return open.size === 2
}

/** Configuration text. It may protect: then it counts as protective. */
export const SNIPPETS: ReadonlySet<string> = new Set(['configuration-snippet', 'server-snippet'])
/** Directives and words by which a snippet restricts access. */
export const PROTECTIVE_SNIPPET =
  /\b(deny|allow|satisfy|auth_\w+|auth|access_by_lua\w*|limit_\w+|internal|return|ssl_verify\w*|ssl_client\w*|proxy_ssl\w*|modsecurity\w*|secure_link\w*|valid_referers|if)\b/

/** Known, without effect on who may do what: the rest of the Ingress works without them. */
export const HARMLESS: ReadonlySet<string> = new Set([
  'app-root',
  'backend-protocol',
  'canary-priority-list',
  'canary-referrer',
  'configuration-snippet',
  'connection-proxy-header',
  'cors-allow-credentials',
  'cors-allow-headers',
  'cors-allow-methods',
  'cors-allow-origin',
  'cors-expose-headers',
  'cors-max-age',
  'custom-headers',
  'custom-http-errors',
  'default-backend',
  'default-cert',
  'disable-proxy-intercept-errors',
  'disable-robots',
  'enable-access-log',
  'enable-cors',
  'enable-opentelemetry',
  'enable-rewrite-log',
  'force-ssl-redirect',
  'from-to-www-redirect',
  'http2-push-preload',
  'mirror-host',
  'mirror-request-body',
  'mirror-target',
  'modsecurity-transaction-id',
  'opentelemetry-operation-name',
  'opentelemetry-trust-incoming-span',
  'permanent-redirect',
  'permanent-redirect-code',
  'preserve-trailing-slash',
  'proxy-buffer-size',
  'proxy-buffers-number',
  'proxy-busy-buffers-size',
  'proxy-cookie-domain',
  'proxy-cookie-path',
  'proxy-http-version',
  'proxy-max-temp-file-size',
  'proxy-redirect-from',
  'proxy-redirect-to',
  'relative-redirects',
  'rewrite-target',
  'server-alias',
  'server-snippet',
  'service-upstream',
  'ssl-ciphers',
  'ssl-prefer-server-ciphers',
  'ssl-protocols',
  'ssl-redirect',
  'stream-snippet',
  'temporal-redirect',
  'temporal-redirect-code',
  'upstream-vhost',
  'use-regex',
  'x-forwarded-prefix',
])
