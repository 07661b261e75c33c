/**
 * llhttp, the parser of Node and of undici, as an oracle. It is the WebAssembly build that npm undici carries: unlike Node's
 * own binding it tells where exactly a message ends. It is strict: llhttp_init leaves all lenient flags off, and none of the
 * llhttp_set_lenient_* is called here.
 */
import wasm from 'undici/lib/llhttp/llhttp-wasm.js'
import type { Kind, Message, Outcome } from './message.ts'

interface Llhttp {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly _initialize: () => void
  readonly malloc: (size: number) => number
  readonly llhttp_alloc: (type: number) => number
  readonly llhttp_free: (parser: number) => void
  readonly llhttp_execute: (parser: number, data: number, length: number) => number
  readonly llhttp_finish: (parser: number) => number
  readonly llhttp_get_errno: (parser: number) => number
  readonly llhttp_get_error_pos: (parser: number) => number
  readonly llhttp_get_error_reason: (parser: number) => number
  readonly llhttp_should_keep_alive: (parser: number) => number
  readonly llhttp_get_method: (parser: number) => number
  readonly llhttp_method_name: (method: number) => number
  readonly llhttp_get_http_minor: (parser: number) => number
}

/** llhttp_type_t. */
const REQUEST = 1
const RESPONSE = 2
/** llhttp_errno_t: returned by a callback it stops the parser there. */
const PAUSED = 21
const SIZE = 1 << 20

/** What the callbacks collect about the one message that is being read. */
interface Collected {
  target: string
  status: number
  reason: string
  /** Names and values, in turn; one may come in pieces. */
  fields: string[]
  trailers: string[]
  last: 'name' | 'value' | null
  body: string
  keepAlive: boolean | null
  headEnded: boolean
  ended: boolean
}

const nothing = (): Collected => ({
  target: '',
  status: 0,
  reason: '',
  fields: [],
  trailers: [],
  last: null,
  body: '',
  keepAlive: null,
  headEnded: false,
  ended: false,
})

let collected = nothing()
let answerTo = ''

const text = (at: number, length: number): string => Buffer.from(llhttp.memory.buffer, at, length).toString('latin1')

function string(at: number): string {
  const bytes = Buffer.from(llhttp.memory.buffer, at)
  return bytes.toString('latin1', 0, bytes.indexOf(0))
}

function fieldPart(part: 'name' | 'value', piece: string): number {
  const list = collected.headEnded ? collected.trailers : collected.fields
  if (part !== collected.last) list.push(piece)
  else list.push(`${list.pop() ?? ''}${piece}`)
  collected.last = part
  return 0
}

const callbacks = {
  wasm_on_message_begin: () => 0,
  wasm_on_url: (_parser: number, at: number, length: number) => {
    collected.target += text(at, length)
    return 0
  },
  wasm_on_status: (_parser: number, at: number, length: number) => {
    collected.reason += text(at, length)
    return 0
  },
  wasm_on_header_field: (_parser: number, at: number, length: number) => fieldPart('name', text(at, length)),
  wasm_on_header_value: (_parser: number, at: number, length: number) => fieldPart('value', text(at, length)),
  wasm_on_headers_complete: (_parser: number, status: number, _upgrade: number, keepAlive: number) => {
    collected.headEnded = true
    collected.last = null
    collected.status = status
    // llhttp leaves it to its caller to say which answers have no body (RFC 9112 6.3, 1).
    const skipped = answerTo === 'HEAD' || (status >= 100 && status < 200) || status === 204 || status === 304
    // Then it knows of that only afterwards; else a Connection among the trailers would count as well.
    collected.keepAlive = skipped ? null : keepAlive === 1
    return skipped ? 1 : 0
  },
  wasm_on_body: (_parser: number, at: number, length: number) => {
    collected.body += text(at, length)
    return 0
  },
  wasm_on_message_complete: (parser: number) => {
    collected.ended = true
    collected.keepAlive ??= llhttp.llhttp_should_keep_alive(parser) === 1
    return PAUSED
  },
}

/** The library types of es2024 leave it out. */
interface WebAssemblyApi {
  readonly Module: new (code: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown }
}

const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: WebAssemblyApi }).WebAssembly
const llhttp = new Instance(new Module(new Uint8Array(wasm)), { env: callbacks }).exports as Llhttp
llhttp._initialize()
const input = llhttp.malloc(SIZE)

/** The first message of `bytes`; behind them the connection ends. */
export function readWithLlhttp(kind: Kind, bytes: Buffer): Outcome {
  if (bytes.length > SIZE) throw new Error('too long for the oracle')
  collected = nothing()
  answerTo = kind === 'request' ? '' : kind.answerTo
  const parser = llhttp.llhttp_alloc(kind === 'request' ? REQUEST : RESPONSE)
  try {
    new Uint8Array(llhttp.memory.buffer, input, bytes.length).set(bytes)
    let fault = llhttp.llhttp_execute(parser, input, bytes.length)
    let end = collected.ended ? llhttp.llhttp_get_error_pos(parser) - input : bytes.length
    if (fault === 0 && collected.headEnded) {
      fault = llhttp.llhttp_finish(parser)
      end = bytes.length
      // A body whose end is missing.
      if (!collected.ended) return { state: 'more' }
    }
    if (collected.ended) return { state: 'message', message: message(kind, parser, end) }
    if (fault === 0) return { state: 'more' }
    return { state: 'refused', code: string(llhttp.llhttp_get_error_reason(parser)) }
  } finally {
    llhttp.llhttp_free(parser)
  }
}

function message(kind: Kind, parser: number, end: number): Message {
  const { target, status, reason, fields, trailers, body, keepAlive } = collected
  return {
    line:
      kind === 'request'
        ? [string(llhttp.llhttp_method_name(llhttp.llhttp_get_method(parser))), target]
        : [String(status), reason],
    minor: llhttp.llhttp_get_http_minor(parser),
    fields: complete(fields),
    body,
    trailers: complete(trailers),
    keepAlive: keepAlive === true,
    end,
  }
}

/** White space behind values is left to the caller, and the last value may be missing because it is empty. */
function complete(fields: readonly string[]): readonly string[] {
  const all = fields.length % 2 === 0 ? fields : [...fields, '']
  return all.map(part => part.replace(/[ \t]+$/, ''))
}
