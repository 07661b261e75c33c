/** A client of the operator's stream that is no proxy: to see what a token opens. */
import { request } from 'node:https'
import type { ClientRequest, RequestOptions } from 'node:http'
import { checkAddress } from '../../load/targets.ts'
import { HarnessError } from './errors.ts'

export interface StreamOptions {
  /** Of the operator's Service. */
  readonly address: string
  /** PEM. */
  readonly ca: string
  readonly token: string
  readonly query?: string
}

const PORT = 8443
/** A name that the operator's serving certificate has. */
const SERVER_NAME = 'sluice-operator.sluice-system.svc'
const TIMEOUT_MS = 10_000
/** Right in every field, so that it can be refused for its pod alone. */
const EMPTY_REPORT = {
  ...{ type: 'report', protocol: 1, instance: 'e2e', sequence: 1, stateHash: '', source: 'none' },
  ...{ checksums: { ingress: null, secret: null }, refused: [], revisions: {}, hosts: {}, objects: {} },
}

function call({ address, ca, token }: StreamOptions, options: RequestOptions): ClientRequest {
  checkAddress(address)
  const headers: Readonly<Record<string, string>> = token === '' ? {} : { authorization: `Bearer ${token}` }
  const sent = request({ ...options, headers, host: address, port: PORT, ca, servername: SERVER_NAME, agent: false })
  sent.setTimeout(TIMEOUT_MS, () => sent.destroy(new HarnessError('E2E_API', 'the operator does not answer')))
  return sent
}

/** Status and first line of the stream, which is then given up. */
export function openStream(options: StreamOptions): Promise<{ readonly status: number; readonly first: unknown }> {
  return new Promise((resolve, reject) => {
    const sent = call(options, { method: 'GET', path: `/v1/stream${options.query ?? ''}` })
    sent.on('error', reject)
    sent.on('response', response => {
      let text = ''
      const done = (): void => {
        const [line = ''] = text.split('\n')
        resolve({ status: response.statusCode ?? 0, first: line === '' ? null : (JSON.parse(line) as unknown) })
        sent.destroy()
      }
      response.on('error', reject)
      response.on('end', done)
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
        if (text.includes('\n')) done()
      })
    })
    sent.end()
  })
}

/** Sends a report that claims to be of a pod. */
export function sendReport(
  options: StreamOptions,
  pod: string,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const sent = call(options, { method: 'POST', path: '/v1/report' })
    sent.on('error', reject)
    sent.on('response', response => {
      let body = ''
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.setEncoding('utf8').on('data', (chunk: string) => void (body += chunk))
    })
    sent.end(JSON.stringify({ ...EMPTY_REPORT, pod }))
  })
}
