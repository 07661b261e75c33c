/**
 * The secrets from which all proxies make the keys of TLS session tickets: with the same ones a session begun at one pod
 * resumes at another. One for each day, made a day before it is used, so that every replica and pod has long known it when
 * its day comes, and gone a day after: who reads the Secret can open the sessions of three days, and not those of years.
 * Proxies get them over the stream; they are in this Secret alone, and never in a log, status or event.
 */
import { randomBytes } from 'node:crypto'
import type { DaySecret, TicketsMessage } from '../../protocol/messages.ts'
import type { KubeClient } from '../kube/client.ts'
import { isKubeError } from '../kube/errors.ts'
import type { Log } from '../kube/log.ts'
import { resources } from '../kube/resources.ts'
import { LABELS } from './kept-secret.ts'
import type { SecretData } from './kept-secret.ts'

/** Name of the Secret; its keys are `day-<number of days since 1970, UTC>`. */
export const TICKET_SECRET_NAME = 'sluice-session-tickets'
const BYTES = 32
const DAY_MS = 86_400_000
const KEY = /^day-(\d{1,9})$/
/** Replicas that write at once read again what the first one wrote. */
const ATTEMPTS = 5

export interface TicketDays {
  /** Yesterday's, today's and tomorrow's; that of the day after, where somebody made it already. */
  readonly secrets: TicketsMessage['secrets']
  /** What the Secret is to hold. */
  readonly data: SecretData
  /** Days for which one is made; empty, and `data` is what was there: nothing is to be written. */
  readonly made: readonly number[]
  /** Keys of these days that hold no secret of ours, and are replaced. */
  readonly wrong: readonly string[]
}

/** What becomes of the Secret's content today. Pure but for `random`, which makes a secret. */
export function ticketDays(found: SecretData, today: number, random: () => string): TicketDays {
  const made: number[] = []
  const wrong: string[] = []
  const of = (day: number): DaySecret => {
    const key = `day-${day}`
    const value = found[key]
    if (value !== undefined && Buffer.from(value, 'base64').length === BYTES) {
      return { day, secret: Buffer.from(value, 'base64').toString('base64') }
    }
    if (value !== undefined) wrong.push(key)
    made.push(day)
    return { day, secret: random() }
  }
  // A replica whose clock is ahead makes the next one first: whoever is behind leaves it.
  const ahead = Object.hasOwn(found, `day-${today + 2}`) ? [of(today + 2)] : []
  const secrets: TicketsMessage['secrets'] = [of(today - 1), of(today), of(today + 1), ...ahead]
  return {
    secrets,
    made,
    wrong,
    data: Object.fromEntries(secrets.map(({ day, secret }) => [`day-${day}`, secret])),
  }
}

export interface TicketSecretsOptions {
  readonly client: Pick<KubeClient, 'find' | 'create' | 'update'>
  readonly namespace: string
  readonly log: Log
  /** Milliseconds since the epoch. */
  readonly wall: () => number
  /** Takes the secrets that count now. */
  readonly tell: (secrets: TicketsMessage['secrets']) => void
}

/**
 * Reads the Secret, and makes what is missing; any replica may, the first one wins. What is stored is told also where what
 * is missing cannot be: every replica reads the same.
 * @throws KubeError; the caller tries again
 */
export async function shareTicketSecrets({ client, namespace, log, wall, tell }: TicketSecretsOptions): Promise<void> {
  const metadata = { namespace, name: TICKET_SECRET_NAME }
  const today = Math.floor(wall() / DAY_MS)
  for (let attempt = 1; ; attempt++) {
    const found = await client.find(resources.secrets, metadata)
    const held = found?.data ?? {}
    const { secrets, data, made, wrong } = ticketDays(held, today, () => randomBytes(BYTES).toString('base64'))
    if (made.length === 0 && Object.keys(held).every(key => key in data)) {
      tell(secrets)
      return
    }
    try {
      if (found === null) {
        await client.create(resources.secrets, { metadata: { ...metadata, labels: LABELS }, type: 'Opaque', data })
      } else await client.update(resources.secrets, { ...found, data })
    } catch (error) {
      const overtaken = isKubeError(error, 'KUBE_CONFLICT', 'KUBE_ALREADY_EXISTS', 'KUBE_NOT_FOUND')
      if (overtaken && attempt < ATTEMPTS) continue
      const [first, ...others] = secrets.filter(({ day }) => !made.includes(day))
      if (first !== undefined) tell([first, ...others])
      throw error
    }
    if (wrong.length > 0) {
      log.warn({ secret: TICKET_SECRET_NAME, keys: wrong }, 'these keys held no secret for session tickets: replaced')
    }
    const gone = Object.keys(held).filter(key => KEY.test(key) && !(key in data))
    log.info({ secret: TICKET_SECRET_NAME, made: made.map(day => `day-${day}`), gone }, 'secrets of session tickets')
    tell(secrets)
    return
  }
}
