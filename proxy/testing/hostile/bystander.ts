/** A client that does everything right, beside those that do not: nothing of what they do may be felt by it. */
import { connect as netConnect, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { readAnswers, values } from './answers.ts'
import { TOKEN_FIELD, answerBody, target } from './backends.ts'

/** Between an answer and the next request, in milliseconds. */
const PACE_MS = 10
const UNITS = 3

export class Bystander {
  readonly faults: string[] = []
  answered = 0
  /** Longest wait for an answer, in milliseconds. */
  slowest = 0
  readonly #socket: Socket
  readonly #host: string
  /** No number of any hostile connection. */
  readonly #number: number
  #text = ''
  #token: string | null = null
  #askedAt = 0
  #stopping = false
  #timer: NodeJS.Timeout | undefined

  private constructor(socket: Socket, host: string, number: number) {
    this.#socket = socket
    this.#host = host
    this.#number = number
    socket.on('error', error => this.#fault(`the connection broke: ${error.message}`))
    socket.on('close', () => this.#fault('the connection was closed'))
    socket.on('data', (chunk: Buffer) => this.#hear(chunk.toString('latin1')))
  }

  static async start(door: 'http' | 'https', port: number, host: string, number: number): Promise<Bystander> {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const options = { port, host: '127.0.0.1' }
      const opened =
        door === 'http'
          ? netConnect(options, () => resolve(opened))
          : tlsConnect({ ...options, servername: host, rejectUnauthorized: false }, () => resolve(opened))
      opened.once('error', reject)
    })
    const bystander = new Bystander(socket, host, number)
    bystander.#ask()
    return bystander
  }

  /** After the answer that is being waited for. */
  async stop(patienceMs: number): Promise<void> {
    const until = performance.now() + patienceMs
    while (this.#token !== null && this.faults.length === 0 && performance.now() < until) {
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    if (this.#token !== null) this.#fault(`no answer to ${this.#token}`)
    this.#stopping = true
    clearTimeout(this.#timer)
    this.#socket.destroy()
  }

  #ask(): void {
    this.#token = `c${this.#number}r${this.answered}`
    this.#askedAt = performance.now()
    this.#socket.write(`GET ${target('fast', UNITS, this.#token)} HTTP/1.1\r\nHost: ${this.#host}\r\n\r\n`)
  }

  #hear(text: string): void {
    this.#text += text
    if (this.#token === null) {
      this.#fault(`bytes that nobody asked for: ${JSON.stringify(this.#text.slice(0, 80))}`)
      return
    }
    const { answers, fault } = readAnswers(this.#text, ['GET'], false)
    const [answer] = answers
    if (fault !== null) this.#fault(fault)
    if (!answer?.complete) return
    const { status, fields, body } = answer
    const [token] = values(fields, TOKEN_FIELD.toLowerCase())
    if (status !== 200 || token !== this.#token || body !== answerBody(this.#token, UNITS)) {
      this.#fault(`${status} with ${token ?? 'no token'} for ${this.#token}`)
    }
    this.#text = ''
    this.#token = null
    this.answered++
    this.slowest = Math.max(this.slowest, performance.now() - this.#askedAt)
    this.#timer = setTimeout(() => this.#ask(), PACE_MS)
  }

  #fault(text: string): void {
    if (this.#stopping) return
    this.faults.push(text)
    // What comes after a first fault says nothing.
    this.#stopping = true
    clearTimeout(this.#timer)
    this.#socket.destroy()
  }
}
