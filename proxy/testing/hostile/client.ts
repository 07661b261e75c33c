/** Plays a script on a socket and says what was heard. */
import { connect as netConnect, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { readAnswers, type Reading } from './answers.ts'
import { tunnelGreeting } from './backends.ts'
import { reset } from '../../../protocol/testing/reset.ts'
import type { Piece, Planned, Script } from './scripts.ts'

export interface Doors {
  readonly http: number
  readonly https: number
}

export interface Heard {
  readonly reading: Reading
  /** The proxy ended or broke the connection before the client did. */
  readonly closedByProxy: boolean
  /** The client had waited as long as it meant to, and neither the answers nor the end had come. */
  readonly gaveUp: boolean
  /** Anything was sent at all. */
  readonly spoke: boolean
}

/** Longer than any limit of the run takes, stalls of a busy machine included. */
const PATIENCE_MS = 15_000
/** A half-open client that heard the end stays for so long. */
const LOITER_MS = 400

export async function play(script: Script, doors: Doors): Promise<Heard> {
  const raw = netConnect({
    port: script.door === 'http' ? doors.http : doors.https,
    host: '127.0.0.1',
    allowHalfOpen: script.halfOpen,
  })
  raw.on('error', () => undefined)
  raw.setNoDelay(true)
  const secure = script.door === 'https'
  const socket = secure
    ? tlsConnect({ socket: raw, servername: 'a.example', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
    : raw
  socket.on('error', () => undefined)
  const ear = new Ear(socket, script)
  const spoke = await speak(socket, ear, script.pieces)
  let gaveUp = false
  if (script.ending === 'patient') {
    gaveUp = !(await ear.settled(() => ear.ended || heardAll(ear.reading(), script)))
  } else {
    await Promise.race([sleep(script.wait), ear.closing])
  }
  const closedByProxy = ear.ended
  switch (script.ending) {
    case 'patient':
    case 'fin':
      socket.end()
      if (script.reading === 'nothing') await sleep(50)
      else gaveUp = !(await ear.settled(() => ear.ended)) || gaveUp
      break
    case 'stay':
      gaveUp = !(await ear.settled(() => ear.ended))
      if (script.halfOpen) await sleep(LOITER_MS)
      break
    case 'reset':
      // A TLS socket cannot be reset; the one under it can.
      reset(raw, socket)
      break
    case 'destroy':
  }
  socket.destroy()
  raw.destroy()
  return { reading: ear.reading(), closedByProxy, gaveUp, spoke }
}

async function speak(socket: Socket, ear: Ear, pieces: readonly Piece[]): Promise<boolean> {
  let spoke = false
  for (const { bytes, pause } of pieces) {
    if (pause > 0) await Promise.race([sleep(pause), ear.closing])
    if (socket.destroyed || !socket.writable) break
    spoke = true
    // Writes are not awaited: a proxy may stop reading a client until it took its answers.
    socket.write(bytes, 'latin1')
  }
  return spoke
}

class Ear {
  ended = false
  /** Resolves when the proxy ended the connection. */
  readonly closing: Promise<void>
  #text = ''
  #news = false
  readonly #script: Script

  constructor(socket: Socket, script: Script) {
    this.#script = script
    let settle: () => void = () => undefined
    this.closing = new Promise(resolve => (settle = resolve))
    const end = (): void => {
      this.ended = true
      this.#news = true
      settle()
    }
    socket.on('end', end)
    socket.on('close', end)
    if (script.reading === 'nothing') {
      socket.pause()
      return
    }
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1')
      this.#news = true
      if (script.reading !== 'slowly') return
      socket.pause()
      setTimeout(() => socket.resume(), 2)
    })
  }

  reading(): Reading {
    const methods = this.#script.requests.map(({ method }) => method)
    // Who says nothing at all may be told 408.
    if (methods.length === 0) methods.push('GET')
    // What came after the hello of a TLS port is a record, if anything.
    return readAnswers(this.#script.door === 'tls-bytes' ? '' : this.#text, methods, this.ended)
  }

  /** @returns false: it was not so for as long as anybody waits */
  async settled(is: () => boolean): Promise<boolean> {
    const until = performance.now() + PATIENCE_MS
    this.#news = true
    while (performance.now() < until) {
      if (this.#news) {
        this.#news = false
        if (is()) return true
      }
      await sleep(5)
    }
    return false
  }
}

function heardAll({ answers, tunnel, fault }: Reading, { requests, pieces }: Script): boolean {
  if (fault !== null) return true
  if (tunnel !== null) {
    const opener = requests[answers.length]
    return opener === undefined || tunnel.length >= expectedTunnel(opener, requests, pieces).length
  }
  const last = answers.at(-1)
  return answers.length >= requests.length && last?.complete !== false
}

/** All that can come through a tunnel: what its backend says first, and what the client sent after its handshake. */
export function expectedTunnel(opener: Planned, requests: readonly Planned[], pieces: readonly Piece[]): string {
  const before = requests.slice(0, requests.indexOf(opener) + 1).reduce((sum, { bytes }) => sum + bytes.length, 0)
  const sent = pieces.map(({ bytes }) => bytes).join('')
  return tunnelGreeting(opener.token) + sent.slice(before)
}

function sleep(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
