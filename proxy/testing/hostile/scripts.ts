/** What one hostile client connection does, written down before it begins: from the seed alone. */
import { BODY_FIELD, UNKNOWN_METHOD, answerBody, target, type Behaviour } from './backends.ts'
import { Random, partSeed } from './random.ts'

/** Hosts of the run. */
export const HOSTS = {
  /** Behaves as it is told. */
  told: 'a.example',
  /** The same behind an endpoint where nobody listens. */
  mixed: 'mixed.example',
  dead: 'dead.example',
  empty: 'empty.example',
  none: 'none.example',
} as const
type HostName = keyof typeof HOSTS

export interface Planned {
  readonly token: string
  readonly method: string
  readonly host: HostName
  readonly behaviour: Behaviour
  /** Of the answer's body. */
  readonly units: number
  readonly bytes: string
  /**
   * - `plain`: right, and its connection goes on
   * - `last`: right; the connection may end with it
   * - `upgrade`: what follows may be a tunnel's
   * - `malformed`: nothing behind it may be taken for a request
   */
  readonly kind: 'plain' | 'last' | 'upgrade' | 'malformed'
}

export interface Piece {
  readonly bytes: string
  /** Before it is sent, in milliseconds. */
  readonly pause: number
}

export type Ending = 'patient' | 'fin' | 'destroy' | 'reset' | 'stay'

export interface Script {
  readonly id: number
  /** `tls-bytes`: bytes that are no complete TLS, to the TLS port. */
  readonly door: 'http' | 'https' | 'tls-bytes'
  /** Those of which at least one byte is sent. */
  readonly requests: readonly Planned[]
  /** How many of them are sent to their last byte. */
  readonly whole: number
  readonly pieces: readonly Piece[]
  readonly reading: 'all' | 'slowly' | 'nothing'
  readonly ending: Ending
  /** Before it ends, in milliseconds. */
  readonly wait: number
  /** Its own side stays open when the proxy closes. */
  readonly halfOpen: boolean
}

export function scriptOf(seed: number, id: number): Script {
  const random = new Random(partSeed(seed, id))
  if (random.chance(0.03)) return tlsBytes(random, id)
  const reading = random.weighted({ all: 88, slowly: 6, nothing: 6 })
  const planned = requests(random, id, reading)
  const ending: Ending =
    reading === 'nothing'
      ? random.weighted({ destroy: 5, reset: 4, fin: 1 })
      : random.weighted({ patient: 50, fin: 14, destroy: 16, reset: 16, stay: 4 })
  const all = planned.map(request => request.bytes).join('')
  const cut = ending === 'patient' || random.chance(0.4) ? all.length : cutAt(random, planned, all.length)
  const sent = all.slice(0, cut)
  let begun = 0
  let whole = 0
  let offset = 0
  /** Of half a head nobody knows the method: an answer to it has a body. */
  const sentHead = (request: Planned): Planned => {
    const start = planned.slice(0, planned.indexOf(request)).reduce((sum, { bytes }) => sum + bytes.length, 0)
    return start + request.bytes.indexOf('\r\n\r\n') + 4 <= cut ? request : { ...request, method: 'GET' }
  }
  for (const { bytes } of planned) {
    if (offset < cut) begun++
    offset += bytes.length
    if (offset <= cut) whole++
  }
  return {
    ...{ id, door: random.chance(0.3) ? 'https' : 'http', requests: planned.slice(0, begun).map(sentHead), whole },
    ...{ pieces: pieces(random, sent), reading, ending },
    wait: random.chance(0.3) ? 0 : random.int(0, reading === 'nothing' ? 300 : 60),
    halfOpen: random.chance(0.2),
  }
}

/** Where people go: anywhere, but gladly right after a head, after a half, or before the first byte. */
function cutAt(random: Random, planned: readonly Planned[], length: number): number {
  const at = random.weighted({ anywhere: 4, head: 3, nothing: 1 })
  if (at === 'nothing') return 0
  if (at === 'anywhere') return random.int(0, length)
  const one = random.int(0, planned.length - 1)
  const before = planned.slice(0, one).reduce((sum, { bytes }) => sum + bytes.length, 0)
  return before + (planned[one]?.bytes.indexOf('\r\n\r\n') ?? 0) + 4
}

function pieces(random: Random, bytes: string): readonly Piece[] {
  const way = random.weighted({ segment: 50, requests: 15, some: 20, dripped: 15 })
  if (bytes === '') return []
  if (way === 'segment') return [{ bytes, pause: random.chance(0.3) ? random.int(0, 10) : 0 }]
  const out: Piece[] = []
  // A long text is dripped at its beginning only: a connection is not to take for ever.
  const most = way === 'dripped' ? 120 : random.int(2, 8)
  let at = 0
  while (at < bytes.length) {
    const left = bytes.length - at
    let size = left
    if (out.length < most) {
      if (way === 'dripped') size = random.int(1, 3)
      else if (way === 'requests') size = Math.max(bytes.indexOf('\r\n\r\n', at) + 4 - at, 1)
      else size = random.int(1, Math.max(1, Math.ceil(left / 2)))
    }
    out.push({ bytes: bytes.slice(at, at + size), pause: random.chance(0.5) ? 0 : random.int(0, 4) })
    at += size
  }
  return out
}

function requests(random: Random, id: number, reading: Script['reading']): readonly Planned[] {
  const count = random.weighted({ '1': 35, '2': 20, '3': 15, '5': 15, '8': 10, '20': 5 })
  const out: Planned[] = []
  for (let i = 0; i < Number(count); i++) {
    const token = `c${id}r${out.length}`
    const kind = random.weighted({ plain: 70, failing: 8, upgrade: 10, connect: 4, malformed: 6, odd: 2 })
    if (kind === 'plain') out.push(plain(random, token, bigUnits(random, reading, i)))
    else if (kind === 'failing') out.push(failing(random, token))
    else if (kind === 'connect') out.push(connect(token))
    else if (kind === 'odd') out.push(odd(random, token))
    else if (kind === 'malformed') out.push(malformed(random, token))
    else {
      out.push(upgrade(random, token))
      if (random.chance(0.4)) out.push(earlyBytes(random, `c${id}r${out.length}`))
    }
  }
  return out
}

const REQUEST_ID = 'X-Request-ID'

function head(method: string, target: string, host: HostName, token: string, ...fields: readonly string[]): string {
  // The id comes back in answers of the proxy's own, which have no token.
  return [`${method} ${target} HTTP/1.1`, `Host: ${HOSTS[host]}`, `${REQUEST_ID}: ${token}`, ...fields, '', ''].join(
    '\r\n',
  )
}

/**
 * Slow readers ask for much. Who reads nothing asks once for more than the buffers of both kernels' ends hold: only then a
 * proxy has to wait. 0: an answer like any other.
 */
function bigUnits(random: Random, reading: Script['reading'], place: number): number {
  if (reading === 'nothing') return place === 0 && random.chance(0.5) ? 1_500_000 : 0
  return reading === 'slowly' || random.chance(0.02) ? random.int(10_000, 100_000) : 0
}

function plain(random: Random, token: string, big: number): Planned {
  const method = random.weighted({ GET: 50, POST: 20, PUT: 5, HEAD: 10, DELETE: 8, OPTIONS: 4, PURGE: 3 })
  const host: HostName = random.weighted({ told: 82, mixed: 6, dead: 4, empty: 4, none: 4 })
  const behaviour = random.weighted({ fast: 50, slow: 20, chunked: 20, interim: 5, early: 5 })
  const units = big > 0 ? big : random.weighted({ '1': 5, '10': 4, '500': 1 })
  return withBody(random, { token, method, host, behaviour, units: Number(units), kind: 'plain' })
}

/** The backend fails in one of its ways. */
function failing(random: Random, token: string): Planned {
  const method = random.weighted({ GET: 5, POST: 4, HEAD: 1 })
  const behaviours = {
    'until-close': 20,
    'early-close': 15,
    silent: 4,
    cut: 20,
    'cut-chunked': 20,
    reset: 15,
    garbage: 15,
  }
  const behaviour = random.weighted<keyof typeof behaviours>(behaviours)
  return withBody(random, { token, method, host: 'told', behaviour, units: random.int(1, 50), kind: 'last' })
}

function withBody(random: Random, planned: Omit<Planned, 'bytes'>): Planned {
  const { method, behaviour, units, token, host } = planned
  const at = target(behaviour, units, token)
  const needed = method === 'POST' || method === 'PUT'
  if (!(needed || (method === 'DELETE' && random.chance(0.5)))) {
    return { ...planned, bytes: head(method, at, host, token) }
  }
  const body = bodyText(random, token)
  const fields = [`${BODY_FIELD}: ${body.length}`]
  if (random.chance(0.15)) fields.push('Expect: 100-continue')
  if (random.chance(0.5)) {
    return { ...planned, bytes: head(method, at, host, token, ...fields, `Content-Length: ${body.length}`) + body }
  }
  return {
    ...planned,
    bytes: head(method, at, host, token, ...fields, 'Transfer-Encoding: chunked') + chunked(random, body),
  }
}

/** Sometimes what would be a request if anybody took it for one: its target is none that a backend knows. */
function bodyText(random: Random, token: string): string {
  if (random.chance(0.3)) return `GET /smuggled HTTP/1.1\r\nHost: ${HOSTS.told}\r\n\r\n`
  return answerBody(token, random.pick([0, 1, 10, 300, random.chance(0.1) ? 30_000 : 100]))
}

function chunked(random: Random, body: string): string {
  let out = ''
  for (let at = 0; at < body.length;) {
    const size = random.int(1, Math.max(1, body.length - at))
    out += `${size.toString(16)}${random.chance(0.1) ? ';x=y' : ''}\r\n${body.slice(at, at + size)}\r\n`
    at += size
  }
  return `${out}0\r\n${random.chance(0.1) ? 'X-Trailer: 1\r\n' : ''}\r\n`
}

function upgrade(random: Random, token: string): Planned {
  const host: HostName = random.weighted({ told: 80, dead: 6, empty: 6, none: 8 })
  const behaviour = random.weighted({
    ...{ accept: 30, 'accept-slow': 20, refuse: 20, 'refuse-slow': 20, 'hang-up': 8, silent: 2 },
  })
  const bytes = head('GET', target(behaviour, 3, token), host, token, 'Connection: Upgrade', 'Upgrade: websocket')
  return { ...{ token, method: 'GET', host, behaviour, units: 3, kind: 'upgrade' }, bytes }
}

/** A client that begins to talk before it was answered. To a proxy that goes on with HTTP these are garbage. */
function earlyBytes(random: Random, token: string): Planned {
  const bytes = random.pick([
    '\u0081\u0000',
    '\u0081\u0085mask\u0001\u0002\u0003\u0004\u0005',
    `\u0001${token}`.repeat(2_000),
  ])
  return { ...{ token, method: 'GET', host: 'told', behaviour: 'fast', units: 1, kind: 'malformed' }, bytes }
}

function connect(token: string): Planned {
  const bytes = `CONNECT ${HOSTS.told}:443 HTTP/1.1\r\nHost: ${HOSTS.told}:443\r\n${REQUEST_ID}: ${token}\r\n\r\n`
  return { ...{ token, method: 'CONNECT', host: 'told', behaviour: 'fast', units: 1, kind: 'last' }, bytes }
}

/** Right by the letter, and yet a proxy may refuse it, with or without its connection. */
function odd(random: Random, token: string): Planned {
  const at = target('fast', 1, token)
  const bytes = random.pick([
    head(UNKNOWN_METHOD, at, 'told', token),
    `GET ${at} HTTP/1.1\r\n${REQUEST_ID}: ${token}\r\n\r\n`,
    head('TRACE', at, 'told', token),
    head('OPTIONS', '*', 'none', token),
    head('GET', at, 'told', token, 'Connection: Upgrade', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'),
    head('GET', at, 'told', token, 'Connection: close'),
  ])
  return { ...{ token, method: 'GET', host: 'told', behaviour: 'fast', units: 1, kind: 'last' }, bytes }
}

function malformed(random: Random, token: string): Planned {
  const at = target('fast', 1, token)
  // A body that breaks off must not come to its end at the backend: no length is right for it.
  const never = `${BODY_FIELD}: -1`
  const bytes = random.pick([
    '\u0001\u0002\u0003 garbage\r\n\r\n',
    head('GET', at, 'told', token, 'X-Space : 1'),
    head('GET', at, 'told', token, 'no colon'),
    head('GET', at, 'told', token, 'X-Nul: a\u0000b'),
    `${head('POST', at, 'told', token, never, 'Content-Length: 4', 'Content-Length: 5')}abcde`,
    `${head('POST', at, 'told', token, never, 'Content-Length: 4', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
    `${head('POST', at, 'told', token, never, 'Transfer-Encoding: gzip, chunked')}0\r\n\r\n`,
    `${head('POST', at, 'told', token, never, 'Transfer-Encoding: chunked')}1\r\na\r\nzz\r\n\r\n`,
    `${head('POST', at, 'told', token, never, 'Transfer-Encoding: chunked')}1\r\nabc\r\n0\r\n\r\n`,
    head('GET', at, 'told', token, `X-Big: ${'x'.repeat(40_000)}`),
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003\r\n\r\n',
  ])
  return { ...{ token, method: 'GET', host: 'told', behaviour: 'fast', units: 1, kind: 'malformed' }, bytes }
}

function tlsBytes(random: Random, id: number): Script {
  const bytes = random.pick([
    '',
    '\u0016',
    '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003',
    '\u0016\u0003\u0001\u0000\u0001\u0001',
    'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n',
  ])
  return {
    ...{ id, door: 'tls-bytes', requests: [], whole: 0, pieces: bytes === '' ? [] : [{ bytes, pause: 0 }] },
    ...{ reading: 'all', ending: random.weighted({ fin: 2, destroy: 3, reset: 3, stay: 1 }), wait: random.int(0, 30) },
    halfOpen: false,
  }
}
