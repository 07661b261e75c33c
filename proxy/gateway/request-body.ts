/** The client's body as undici wants it: read only when a connection stands, and never destroyed by its reader. */
import type { IncomingMessage } from 'node:http'
import { DataPlaneError } from '../errors.ts'
import type { Passage } from './passage.ts'

export function hasBody(request: IncomingMessage): boolean {
  const { headers } = request
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/**
 * @param idleMs a client that sends nothing for so long gives up its request; 0: never
 * @param stalled called then
 */
export async function* requestBody(
  passage: Passage,
  idleMs: number,
  stalled: (error: DataPlaneError) => void,
): AsyncGenerator<Buffer> {
  const { exchange, request, response } = passage
  // Only now, connected: a client that asks first is not made to send what nobody takes.
  if (passage.expectsContinue) {
    response.writeContinue()
    passage.expectsContinue = false
  }
  const timeout = (): void => stalled(new DataPlaneError('SLUICE_CLIENT_TIMEOUT', 'the request body took too long'))
  let timer = idleMs > 0 ? setTimeout(timeout, idleMs) : null
  try {
    // A backend that answers early stops reading; destroying the request would cut the client's connection.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      exchange.bodyBytes += chunk.length
      if (timer) clearTimeout(timer)
      timer = null
      yield chunk
      if (idleMs > 0) timer = setTimeout(timeout, idleMs)
    }
  } finally {
    if (timer) clearTimeout(timer)
    // Answered already: what is left is thrown away.
    if (response.writableFinished) request.resume()
  }
}
