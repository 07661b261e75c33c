import { beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { TicketsMessage } from '../../protocol/messages.ts'
import { KubeError } from '../kube/errors.ts'
import { FakeApi } from '../kube/testing/fake-api.ts'
import type { FakeClient } from '../kube/testing/fake-api.ts'
import { TICKET_SECRET_NAME, shareTicketSecrets, ticketDays } from './ticket-secrets.ts'

const SYSTEM = 'sluice-system'
const OBJECT = `${SYSTEM}/${TICKET_SECRET_NAME}`
const DAY_MS = 86_400_000
const TODAY = 20_000
const secret = (fill: number): string => Buffer.alloc(32, fill).toString('base64')
const held = (...days: readonly number[]): Record<string, string> =>
  Object.fromEntries(days.map(day => [`day-${day}`, secret(day % 200)]))

describe('ticketDays', () => {
  const NEW = secret(250)
  const of = (found: Readonly<Record<string, string>>) => ticketDays(found, TODAY, () => NEW)

  it.each<[string, Readonly<Record<string, string>>, readonly number[], readonly string[]]>([
    ['nothing is there', {}, [19_999, 20_000, 20_001], []],
    ['all is there', held(19_999, 20_000, 20_001), [], []],
    ['a day went by', held(19_998, 19_999, 20_000), [20_001], []],
    ['many days went by', held(19_000), [19_999, 20_000, 20_001], []],
    ['a clock is ahead', held(19_999, 20_000, 20_001, 20_002), [], []],
    ['there is something else', { ...held(19_999, 20_000, 20_001), secret: NEW }, [], []],
    ['one is too short', { ...held(19_999, 20_001), 'day-20000': 'c2hvcnQ=' }, [20_000], ['day-20000']],
    ['one is none', { ...held(19_999, 20_001), 'day-20000': '' }, [20_000], ['day-20000']],
  ])('where %s', (_what, found, made, wrong) => {
    const days = of(found)
    expect([days.made, days.wrong]).toEqual([made, wrong])
    expect(days.secrets.map(({ day }) => day).slice(0, 3)).toEqual([TODAY - 1, TODAY, TODAY + 1])
    expect(days.secrets.length).toBe('day-20002' in found ? 4 : 3)
    for (const one of days.secrets) {
      expect(one.secret).toBe(made.includes(one.day) ? NEW : found[`day-${one.day}`])
    }
    expect(days.data).toEqual(Object.fromEntries(days.secrets.map(one => [`day-${one.day}`, one.secret])))
  })

  it('a secret that was made is used when its day comes, whenever somebody looks', () => {
    let next = 0
    fc.assert(
      fc.property(fc.array(fc.nat(1), { minLength: 1, maxLength: 20 }), steps => {
        let [data, today] = [{} as Readonly<Record<string, string>>, TODAY]
        let tomorrows: string | undefined
        for (const step of steps) {
          today += step
          const days = ticketDays(data, today, () => secret(next++ % 200))
          const [, todays, after] = days.secrets
          if (tomorrows !== undefined && step === 1) expect(todays?.secret).toBe(tomorrows)
          ;({ data } = days)
          tomorrows = after?.secret
        }
      }),
    )
  })
})

describe('shareTicketSecrets', () => {
  let api: FakeApi
  let now: number
  let lines: string[]
  beforeEach(() => {
    api = new FakeApi()
    now = TODAY * DAY_MS
    lines = []
  })
  const note = (fields: unknown, text: string): void => void lines.push(`${text} ${JSON.stringify(fields)}`)
  const share = (
    tell: (secrets: TicketsMessage['secrets']) => void,
    client: FakeClient = api.client(),
  ): Promise<void> =>
    shareTicketSecrets({
      ...{ client, namespace: SYSTEM, wall: () => now, tell },
      log: { info: note, warn: note, error: note, debug: note },
    })
  const look = async (): Promise<TicketsMessage['secrets']> => {
    const told: TicketsMessage['secrets'][] = []
    await share(secrets => told.push(secrets))
    const [only] = told
    if (told.length !== 1 || only === undefined) throw new Error(`told ${told.length} times`)
    return only
  }

  it('makes three, in a Secret of ours and nowhere else, and no others on the same day', async () => {
    const secrets = await look()
    expect(new Set(secrets.map(one => one.secret)).size).toBe(3)
    expect(api.object('secrets', OBJECT)).toMatchObject({ type: 'Opaque', data: { 'day-20000': secrets[1]?.secret } })
    expect(await look()).toEqual(secrets)
    expect(api.log).toEqual([`create Secret ${TICKET_SECRET_NAME}`])
    for (const { secret: made } of secrets) expect(lines.join()).not.toContain(made)
  })

  it('makes one more each day, and forgets the oldest', async () => {
    const before = await look()
    now += DAY_MS
    const after = await look()
    expect(after.slice(0, 2)).toEqual(before.slice(1))
    expect(Object.keys(api.object('secrets', OBJECT)?.data ?? {})).toEqual(['day-20000', 'day-20001', 'day-20002'])
    expect(lines.at(-1)).toBe(
      `secrets of session tickets {"secret":"${TICKET_SECRET_NAME}","made":["day-20002"],"gone":["day-19999"]}`,
    )
  })

  it('makes others at once where somebody deleted the Secret', async () => {
    const before = await look()
    api.remove('secrets', OBJECT)
    const after = await look()
    expect(after.filter(one => before.some(({ secret: old }) => one.secret === old))).toEqual([])
  })

  it('replaces what is none, and says which without saying what it holds', async () => {
    await look()
    api.edit('secrets', OBJECT, { data: { 'day-20000': Buffer.from('short').toString('base64') } })
    const [, today] = await look()
    expect(Buffer.from(today?.secret ?? '', 'base64')).toHaveLength(32)
    expect(lines.join()).toContain('these keys held no secret for session tickets: replaced')
    expect(lines.join()).toContain('"keys":["day-20000"]')
    expect(lines.join()).not.toContain(Buffer.from('short').toString('base64'))
  })

  it.each([
    ['begin', 0],
    ['see a day begin', DAY_MS],
  ])('replicas that %s at once have the same', async (_what, later) => {
    if (later > 0) await look()
    now += later
    const all = await Promise.all([1, 2, 3].map(() => look()))
    expect(new Set(all.map(one => JSON.stringify(one))).size).toBe(1)
    expect(all[0]).toEqual(await look())
  })

  it('tells the caller when the API server is away', async () => {
    api.deny(() => new KubeError('KUBE_UNAVAILABLE', 'away'))
    await expect(look()).rejects.toMatchObject({ code: 'KUBE_UNAVAILABLE' })
  })

  it('tells what is stored also where what is missing cannot be written, and says that it could not', async () => {
    const before = await look()
    now += DAY_MS
    api.deny(what => (what.startsWith('update') ? new KubeError('KUBE_FORBIDDEN', 'may only read') : null))
    const told: TicketsMessage['secrets'][] = []
    await expect(share(secrets => told.push(secrets))).rejects.toMatchObject({ code: 'KUBE_FORBIDDEN' })
    expect(told).toEqual([before.slice(1)])
  })
})
