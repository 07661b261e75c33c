/**
 * Clients whose bodies come in chunks of a byte each: right by the letter, and the dearest bytes that a proxy can be sent.
 * Every six of them are a chunk that has to be read.
 */
import { connect as netConnect, type Socket } from 'node:net'
import { readAnswers, values } from './answers.ts'
import { BODY_FIELD, TOKEN_FIELD, answerBody, target } from './backends.ts'

export interface ChunkPlan {
  readonly clients: number
  /** Number of the first client: tokens are told apart by it. */
  readonly first: number
  /** Of each client, one after the other. */
  readonly requests: number
  /** Sizes of bodies, in turns, in bytes without the framing. */
  readonly bodies: readonly number[]
  /** Bytes of a chunk; null: the body, and the framing of one-byte chunks as well, are one chunk of as many bytes on the wire. */
  readonly chunk: 1 | null
}

const UNITS = 3
/** For an answer, in milliseconds: longer than a limit of the proxy takes. */
const PATIENCE_MS = 30_000
/** Bytes of a write of those who do not write all at once: a segment of the network. */
const SEGMENT = 1_460
const ONE = '1\r\nx\r\n'

/** @returns what nobody should hear; empty: every request got its answer */
export async function sendChunks(port: number, host: string, plan: ChunkPlan): Promise<readonly string[]> {
  const clients = Array.from({ length: plan.clients }, (_, i) => client(port, host, plan.first + i, plan))
  return (await Promise.all(clients)).flat()
}

async function client(port: number, host: string, number: number, plan: ChunkPlan): Promise<readonly string[]> {
  const socket = netConnect(port, '127.0.0.1')
  const ear = new Ear(socket)
  const faults: string[] = []
  for (let i = 0; i < plan.requests && faults.length === 0; i++) {
    const token = `c${number}r${i}`
    const { bytes, length } = bodyOf(plan, plan.bodies[(number + i) % plan.bodies.length] ?? 0)
    socket.write(
      `POST ${target('fast', UNITS, token)} HTTP/1.1\r\nHost: ${host}\r\n${BODY_FIELD}: ${length}\r\n` +
        'Transfer-Encoding: chunked\r\n\r\n',
    )
    // Some in one write, some as the network would cut it: what one read brings is another thing each time.
    if (number % 2 === 0) socket.write(bytes)
    else for (let at = 0; at < bytes.length; at += SEGMENT) socket.write(bytes.subarray(at, at + SEGMENT))
    faults.push(...(await ear.answerTo(token)))
  }
  socket.destroy()
  return faults
}

/** What a body is on the wire, and how many bytes it has. */
function bodyOf({ chunk }: ChunkPlan, size: number): { readonly bytes: Buffer; readonly length: number } {
  if (chunk === 1) return { bytes: Buffer.from(`${ONE.repeat(size)}0\r\n\r\n`), length: size }
  const length = ONE.length * size
  return { bytes: Buffer.from(`${length.toString(16)}\r\n${'x'.repeat(length)}\r\n0\r\n\r\n`), length }
}

/** Hears one answer after the other. */
class Ear {
  #text = ''
  #broken: string | null = null
  #wake: (() => void) | null = null

  constructor(socket: Socket) {
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1')
      this.#wake?.()
    })
    const broken = (why: string): void => {
      this.#broken ??= why
      this.#wake?.()
    }
    socket.on('error', error => broken(`the connection broke: ${error.message}`))
    socket.on('close', () => broken('the connection was closed'))
  }

  async answerTo(token: string): Promise<readonly string[]> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<string>(resolve => (timer = setTimeout(() => resolve('no answer'), PATIENCE_MS)))
    try {
      for (;;) {
        const heard = new Promise<null>(resolve => (this.#wake = () => resolve(null)))
        const verdict = this.#judge(token)
        if (verdict !== null) return verdict.map(text => `${token}: ${text}`)
        const failed = this.#broken ?? (await Promise.race([heard, late]))
        if (failed !== null) return [`${token}: ${failed}`]
      }
    } finally {
      clearTimeout(timer)
    }
  }

  /** Null: it is not whole yet. */
  #judge(token: string): readonly string[] | null {
    const { answers, fault } = readAnswers(this.#text, ['POST'], false)
    if (fault !== null) return [fault]
    const [answer] = answers
    if (answer?.complete !== true) return null
    this.#text = ''
    const { status, fields, body, close } = answer
    const [echoed] = values(fields, TOKEN_FIELD.toLowerCase())
    if (status === 200 && echoed === token && body === answerBody(token, UNITS) && !close) return []
    return [`${status} with ${echoed ?? 'no token'}, ${body.length} bytes${close ? ', and the end' : ''}`]
  }
}
