/** What a hostile client may have heard, and what nobody may hear. */
import { values, type Answer } from './answers.ts'
import { TOKEN_FIELD, answerBody, type Notes } from './backends.ts'
import { expectedTunnel, type Heard } from './client.ts'
import type { Planned, Script } from './scripts.ts'

/** @returns every fault, in words; empty: the proxy did right */
export function judge(script: Script, heard: Heard, notes: Notes): readonly string[] {
  const { answers, fault, tunnel } = heard.reading
  const faults: string[] = []
  if (fault !== null) faults.push(fault)
  answers.forEach((answer, place) => {
    const request = script.requests[place]
    if (request) faults.push(...judgeAnswer(answer, request))
    else if (answer.status !== 408 || !answer.close) faults.push(`${answer.status} for nothing`)
  })
  if (tunnel !== null) {
    const opener = script.requests[answers.length]
    if (opener?.kind !== 'upgrade') faults.push('101 for a request that asked for no upgrade')
    else if (!expectedTunnel(opener, script.requests, script.pieces).startsWith(tunnel)) {
      faults.push(`foreign bytes in the tunnel of ${opener.token}: ${JSON.stringify(tunnel.slice(0, 120))}`)
    }
  }
  faults.push(...behindMalformed(script, heard, notes), ...missing(script, heard))
  if (heard.gaveUp && (script.ending === 'stay' || script.ending === 'fin')) {
    faults.push(
      `the proxy never ended the connection of a client that ${script.ending === 'fin' ? 'ended its side' : 'stayed'}`,
    )
  }
  return faults.map(text => `connection ${script.id} (${script.door}, ${script.ending}): ${text}`)
}

function judgeAnswer(answer: Answer, request: Planned): readonly string[] {
  const { token } = request
  const faults: string[] = []
  const echoed = values(answer.fields, TOKEN_FIELD.toLowerCase())
  const ours = /\nrequest id: (c[0-9]+r[0-9]+)\n/.exec(answer.body)?.[1]
  for (const other of [...echoed, ...(ours === undefined ? [] : [ours])]) {
    if (other !== token) faults.push(`the answer to ${other} in the place of that to ${token}`)
  }
  if (echoed.length === 0 || answer.framing === 'none') return faults
  const whole = answerBody(token, request.units)
  if (!whole.startsWith(answer.body)) faults.push(`foreign bytes in the body of ${token}`)
  else if (answer.complete && answer.framing !== 'until-close' && answer.body !== whole) {
    faults.push(`the answer to ${token} ended as if whole after ${answer.body.length} of ${whole.length} bytes`)
  }
  // Our backends cut these one byte, or one chunk, before their end.
  const truncated = request.behaviour === 'cut' || request.behaviour === 'cut-chunked'
  if (truncated && answer.complete && answer.framing !== 'until-close') {
    faults.push(`the answer to ${token} was cut by its backend and ended as if whole`)
  }
  return faults
}

/** What follows a message that nobody can read is no request, whatever it looks like. */
function behindMalformed({ requests }: Script, { reading }: Heard, notes: Notes): readonly string[] {
  const at = requests.findIndex(({ kind }) => kind === 'malformed')
  if (at === -1) return []
  const faults = requests
    .slice(at + 1)
    .filter(({ token }) => notes.saw(token))
    .map(({ token }) => `${token} came to a backend, behind what is not HTTP`)
  if (reading.answers.length > at + 1) faults.push('an answer to what stands behind something that is not HTTP')
  return faults
}

const STATUS: Readonly<Record<Planned['host'], number>> = { told: 200, mixed: 200, dead: 502, empty: 503, none: 404 }

/** Who asks in good order and waits gets all of the answers. */
function missing({ requests, whole, ending, reading, pieces }: Script, heard: Heard): readonly string[] {
  const faults: string[] = []
  for (const [place, request] of requests.slice(0, whole).entries()) {
    if (request.kind !== 'plain') return faults
    const answer = heard.reading.answers[place]
    if (!answer) {
      if (ending === 'patient' && reading === 'all') faults.push(`no answer to ${request.token}`)
      return faults
    }
    const expected = STATUS[request.host]
    // Who sends in pieces may be too slow, on a busy machine above all.
    if (answer.status === 408 && answer.close && pieces.length > 1) return faults
    if (answer.status !== expected) faults.push(`${answer.status} for ${request.token}, not ${expected}`)
    if (!answer.complete && ending === 'patient' && reading === 'all') faults.push(`half an answer to ${request.token}`)
    if (answer.close) return faults
  }
  return faults
}
