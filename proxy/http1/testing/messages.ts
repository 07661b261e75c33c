/** Messages for fuzzing: by the grammar with odd choices at every place, then damaged byte by byte. One seed, one case. */

/** xorshift32: good enough to choose, and the same everywhere. */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0 || 1
    for (let i = 0; i < 8; i++) this.#next()
  }

  #next(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x >>> 0
  }

  below(limit: number): number {
    return this.#next() % limit
  }

  /** One in `of`. */
  chance(of: number): boolean {
    return this.below(of) === 0
  }

  /** An element; those in front much more often than the rest, which are the odd ones. */
  pick<T>(usual: readonly T[], odd: readonly T[], oddOneIn: number): T {
    const list = odd.length > 0 && this.chance(oddOneIn) ? odd : usual
    return list[this.below(list.length)] as T
  }
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH']
const ODD_METHODS = [
  'CONNECT',
  'TRACE',
  'PURGE',
  'M-SEARCH',
  'FOO',
  'get',
  'PRI',
  'DESCRIBE',
  'a',
  '!#$%',
  '',
  'G\u00e9T',
  'G:T',
]
const TARGETS = ['/', '/a/b?c=d', '/%41//..;x', 'http://a.example/x?y', '*', '/a#b', '/[x]{y}|^\\"`<>']
const ODD_TARGETS = [
  '',
  '/\u00e9',
  '/?q=\u00ff',
  'a',
  '?x',
  'a.example:80',
  'http://',
  'http://u@h/',
  '/a b',
  '/\t',
  '/\u007f',
  '/\u0001',
  'ftp:x',
]
const VERSIONS = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0']
const ODD_VERSIONS = [
  'HTTP/0.9',
  'HTTP/1.2',
  'HTTP/2.0',
  'HTTP/1',
  'HTTP/1.10',
  'http/1.1',
  'HTTP/1.1 ',
  'RTSP/1.0',
  '',
  'HTTP/01.1',
]
const FIELDS = [
  'Accept: */*',
  'X: ',
  'x-empty:',
  "!#$%&'*+-.^_`|~: token",
  'X-Long:   padded \t ',
  'Cookie: a=b; c="d"',
  'X-Bytes: \u00e9\u00ff',
  'X: a\tb',
  'Expect: 100-continue',
  'TE: trailers',
  'Host2: b',
]
const ODD_FIELDS = [
  'X : a',
  ' X: folded',
  '\tX: folded',
  'X\t: a',
  ': nameless',
  'colonless',
  'X: \u0000',
  'X: \u007f',
  'X: a\rb',
  'X: a\nb',
  'X\u0000Y: a',
  'X\u00e9: a',
  '(x): a',
  'Host: other',
  'X: \u001b',
  'X[]: a',
  '"x": y',
]
const CONNECTIONS = [
  'close',
  'keep-alive',
  'Keep-Alive, X-Y',
  'upgrade',
  'CLOSE',
  'x, close',
  'close, keep-alive',
  ',,',
  ' close ',
  'Upgrade, HTTP2-Settings',
  'closed',
  'close;x',
  'content-length, host',
]
const CODINGS = ['chunked', 'Chunked', 'CHUNKED', ' chunked ', '\tchunked\t']
const ODD_CODINGS = [
  '',
  'identity',
  'gzip, chunked',
  'chunked, chunked',
  'xchunked',
  'chunkedx',
  'chunked;q=1',
  '"chunked"',
  '\u000bchunked',
  'chunked,',
  ',chunked',
  'chun ked',
  'gzip',
  '\u00a0chunked',
]
const LENGTHS = ['0', '00', '1', '5', '005', ' 5 ', '\t5\t']
const ODD_LENGTHS = [
  '',
  '+5',
  '-5',
  '0x5',
  '5, 5',
  '5 5',
  '5\u00a0',
  '9007199254740992',
  '18446744073709551616',
  '1e1',
  '5.0',
  "5'",
]
const EXTENSIONS = ['', '', '', ';a', ';a=b', ';a="b;c"', ';a="\\"";b', ';a=b;c=d', ';a="\u00e9\t"']
const ODD_EXTENSIONS = [
  ' ',
  ';',
  ' ;a',
  ';a=',
  ';=b',
  ';a="',
  ';a=b"c"',
  ';a ="b"',
  ';a="b"c',
  ';a= b',
  ';a="\n"',
  ';a="\\\r"',
  ';a\n',
  '\t',
  ';a\u00e9',
  ',a',
  ';a;;b',
  ';a=""',
]
const TRAILERS = ['T: x', 'X-Trailer: y', 'Empty:', 'Trailer: T', 'Connection: close', 'TE: x']
const ODD_TRAILERS = [
  'Content-Length: 5',
  'Transfer-Encoding: chunked',
  'Host: b',
  'X : y',
  ' x: y',
  'x',
  'X: \u0000',
  'X: a\nb',
  'Transfer-Encoding: gzip',
  'Content-Length: x',
  'Upgrade: x',
]
const LINE_ENDS = ['\r\n']
const ODD_LINE_ENDS = ['\n', '\r', '\r\r\n', '\n\r', '', '\r\n\r\n', ' \r\n']
const STATUSES = ['200', '404', '204', '304', '100', '101', '103', '500', '999']
const ODD_STATUSES = ['20', '2000', '099', '000', '2x0', '', '-20', '600', '199']
const REASONS = [' OK', ' ', '', ' Not Found', ' \u00e9', ' a\tb']
const ODD_REASONS = ['OK', '  x', ' \u0000', ' a\rb', '\tOK', ' \u007f']
/** Bytes that mean something to some parser. */
const DAMAGE = '\r\n\t :;,="\\0159afAFx/?#*-+\u0000\u000b\u000c\u007f\u0080\u00a0\u00ff_GH'

/** How often something odd is chosen at a place: mostly seldom, else nothing would be valid. */
const RATES = [1_000, 60, 60, 12]

/** A few requests, one behind the other, as latin1 text. */
export function requests(seed: number): string {
  const dice = new Dice(seed)
  const odd = dice.pick(RATES, [], 1)
  let text = dice.chance(12) ? '\r\n'.repeat(dice.below(7)) : ''
  for (let more = 1 + (dice.chance(3) ? dice.below(3) : 0); more > 0; more--) text += request(dice, odd)
  return dice.chance(2) ? damaged(dice, text) : text
}

export function answers(seed: number): string {
  const dice = new Dice(seed)
  const odd = dice.pick(RATES, [], 1)
  let text = ''
  for (let more = 1 + (dice.chance(3) ? 1 : 0); more > 0; more--) {
    const version = dice.pick(VERSIONS, ODD_VERSIONS, odd)
    const status = `${dice.pick(STATUSES, ODD_STATUSES, odd)}${dice.pick(REASONS, ODD_REASONS, odd)}`
    text += `${version} ${status}${lineEnd(dice, odd)}${fieldsAndBody(dice, odd, version, [])}`
  }
  return dice.chance(2) ? damaged(dice, text) : text
}

function request(dice: Dice, odd: number): string {
  const version = dice.pick(VERSIONS, ODD_VERSIONS, odd)
  const space = (): string => dice.pick([' '], ['  ', '\t', ''], odd * 4)
  const line = [dice.pick(METHODS, ODD_METHODS, odd), space(), dice.pick(TARGETS, ODD_TARGETS, odd), space(), version]
  return `${line.join('')}${lineEnd(dice, odd)}${fieldsAndBody(dice, odd, version, dice.chance(odd) ? [] : ['Host: a.example'])}`
}

const lineEnd = (dice: Dice, odd: number): string => dice.pick(LINE_ENDS, ODD_LINE_ENDS, odd * 4)

function fieldsAndBody(dice: Dice, odd: number, version: string, fields: string[]): string {
  for (let more = dice.below(4); more > 0; more--) insert(dice, fields, dice.pick(FIELDS, ODD_FIELDS, odd))
  if (dice.chance(3)) insert(dice, fields, `Connection: ${dice.pick(CONNECTIONS, [], 1)}`)
  if (dice.chance(8)) insert(dice, fields, dice.pick(['Upgrade: websocket'], ['upgrade: h2c', 'Upgrade:'], 4))
  const body = framed(dice, odd, version, fields)
  return `${fields.map(field => field + lineEnd(dice, odd)).join('')}${lineEnd(dice, odd)}${body}`
}

function insert(dice: Dice, fields: string[], field: string): void {
  fields.splice(dice.below(fields.length + 1), 0, field)
}

/** The body, and the fields that tell its length: mostly the right ones. */
function framed(dice: Dice, odd: number, version: string, fields: string[]): string {
  const lengthName = dice.pick(
    ['Content-Length'],
    ['content-length', 'CONTENT-LENGTH', 'Content_Length', 'Content-Lengt'],
    3,
  )
  const codingName = dice.pick(
    ['Transfer-Encoding'],
    ['transfer-encoding', 'TRANSFER-ENCODING', 'Transfer_Encoding'],
    3,
  )
  const addLength = (): void => insert(dice, fields, `${lengthName}: ${dice.pick(LENGTHS, ODD_LENGTHS, odd)}`)
  const addCoding = (): void => insert(dice, fields, `${codingName}: ${dice.pick(CODINGS, ODD_CODINGS, odd)}`)
  if (dice.chance(odd)) addLength()
  if (dice.chance(odd)) addCoding()
  switch (dice.below(4)) {
    case 0:
      return dice.chance(odd) ? 'x' : ''
    case 1:
      addLength()
      return 'hello'.slice(0, Number(fields.find(field => /^content-length:/i.test(field))?.slice(15)) || 0)
    default:
      if (version !== 'HTTP/1.0' || dice.chance(odd)) addCoding()
      else return ''
      return chunks(dice, odd)
  }
}

function chunks(dice: Dice, odd: number): string {
  const end = (): string => lineEnd(dice, odd)
  let text = ''
  for (let more = dice.below(3); more > 0; more--) {
    const data = dice.pick(['a', 'hello', '0\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n', 'x'.repeat(26)], [], 1)
    const hex = data.length.toString(16)
    const oddSizes = [
      `+${hex}`,
      `0x${hex}`,
      ` ${hex}`,
      `-${hex}`,
      '',
      `${hex} `,
      'g',
      '20000000000000',
      `${'0'.repeat(16)}${hex}`,
    ]
    const size = dice.pick([hex, hex.toUpperCase(), `0${hex}`], oddSizes, odd)
    text += `${size}${dice.pick(EXTENSIONS, ODD_EXTENSIONS, odd)}${end()}${data}${end()}`
  }
  text += `${dice.pick(['0', '0', '000'], ['', '-0', '0x0', '00000000000000000'], odd)}${dice.pick(EXTENSIONS, ODD_EXTENSIONS, odd)}${end()}`
  for (let more = dice.chance(3) ? dice.below(3) : 0; more > 0; more--)
    text += `${dice.pick(TRAILERS, ODD_TRAILERS, odd)}${end()}`
  return `${text}${end()}`
}

function damaged(dice: Dice, text: string): string {
  let damagedText = text
  for (let more = 1 + dice.below(2); more > 0; more--) {
    const at = dice.below(damagedText.length + 1)
    const [before, after] = [damagedText.slice(0, at), damagedText.slice(at)]
    const byte = dice.chance(4) ? String.fromCharCode(dice.below(256)) : (DAMAGE[dice.below(DAMAGE.length)] ?? '')
    switch (dice.below(5)) {
      case 0: // flip one bit
        damagedText = before + String.fromCharCode((after.charCodeAt(0) || 0) ^ (1 << dice.below(8))) + after.slice(1)
        break
      case 1:
        damagedText = before + byte + after
        break
      case 2:
        damagedText = before + byte + after.slice(1)
        break
      case 3:
        damagedText = before + after.slice(1 + dice.below(3))
        break
      default:
        damagedText = before + after.slice(0, 1 + dice.below(30)) + after
    }
  }
  return damagedText
}
