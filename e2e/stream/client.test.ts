/** The proxy's client against the operator's server over real TLS, with a network that misbehaves in between. */
import { once } from 'node:events'
import { rename, writeFile } from 'node:fs/promises'
import { createServer, get } from 'node:https'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { PROTOCOL_VERSION } from '../../protocol/messages.ts'
import type { StreamMessage } from '../../protocol/messages.ts'
import { LastTable } from '../../proxy/disk/last-table.ts'
import { contentsOf } from '../../proxy/disk/testing/contents.ts'
import {
  checksumsOf,
  delta,
  entry,
  FakeSink,
  observe,
  site as web,
  snapshot,
} from '../../proxy/stream/testing/messages.ts'
import type { TableUpdate } from '../../proxy/table/update.ts'
import { Authority } from '../pki/pki.ts'
import { Cleanup, NO_COUNTS, Operator, POD, prepare, SERVICE, startProxySide, until, Wire } from './rig.ts'
import type { Proxy, Site } from './rig.ts'
import { TestWorld } from './world.ts'

const A = 'Ingress/ns/a'
let cleanup: Cleanup
let site: Site
let world: TestWorld
beforeEach(async () => {
  cleanup = new Cleanup()
  site = await prepare(cleanup)
  world = new TestWorld()
  world.release(web('a'), web('b'))
  world.setEndpoints('ns/a:80', ['10.0.0.1:80'])
})
afterEach(() => cleanup.run())

async function operator(...more: readonly Parameters<typeof Operator.start>[3][]): Promise<Operator> {
  const started = await Operator.start(cleanup, site.leaf, 0, more[0])
  started.server.publish(world.change())
  return started
}

function serves(proxy: Proxy, revision: string | null, key = A): Promise<void> {
  return until(`${key} at ${revision ?? 'none'}`, () => proxy.table.revision(key) === revision)
}

function opened(operator: Operator): readonly string[] {
  return operator.log.lines
    .filter(line => line.includes('stream: opened'))
    .map(line => /"resume":(\w+)/.exec(line)![1]!)
}

/** An operator of tests' own that says exactly these lines, and nothing after them. */
async function scripted(answer: (connection: number) => readonly string[] | RequestListener): Promise<number> {
  let connections = 0
  const server = createServer({ cert: site.leaf.chain, key: site.leaf.privateKey }, (request, response) => {
    const lines = request.method === 'POST' ? [] : answer(++connections)
    if (typeof lines === 'function') {
      lines(request, response)
      return
    }
    response.writeHead(200)
    response.write(lines.map(line => `${line}\n`).join(''))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanup.add(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

const text = (...messages: readonly StreamMessage[]): readonly string[] => messages.map(m => JSON.stringify(m))
const hello: StreamMessage = {
  ...{ type: 'hello', protocol: PROTOCOL_VERSION, operator: 'v', leader: null, pod: POD, ordinal: 0 },
}

describe('the stream', () => {
  it('brings the table, its changes, and confirms both to the leader', async () => {
    const op = await operator()
    // So long that no report comes in this test but those that something called for.
    world.observation = { objects: [A], hosts: [], intervalMs: 3_600_000 }
    op.server.publish(world.change())
    const proxy = startProxySide(cleanup, site, op.port)
    await serves(proxy, 'r1')
    expect(proxy.table.snapshot().endpoints.upsert).toEqual(new Map([['ns/a:80', ['10.0.0.1:80']]]))
    await until('confirmed', () => op.reports.at(-1)?.revisions[A] === 'r1')
    world.release(web('a', 'r2'))
    op.server.publish(world.change())
    await until('confirmed', () => op.reports.at(-1)?.revisions[A] === 'r2')
    const last = op.reports.at(-1)!
    expect(last).toMatchObject({ pod: POD, source: 'stream', refused: [] })
    expect(last.stateHash).toBe(proxy.stream.status().stateHash)
    expect(last.checksums).toEqual(world.checksums)
    expect(op.reports.map(r => r.sequence)).toEqual(op.reports.map((_, i) => i + 1))
  })

  it('waits for an operator that is not there yet', async () => {
    const first = await operator()
    const { port } = first
    await first.server.close()
    const proxy = startProxySide(cleanup, site, port)
    await sleep(300)
    expect(proxy.log.lines.filter(l => l.startsWith('warn'))).toHaveLength(1)
    const second = await Operator.start(cleanup, site.leaf, port)
    second.server.publish(world.change())
    await serves(proxy, 'r1')
  })

  it('waits for a name that does not resolve yet, and for files that are not there', async () => {
    const proxy = startProxySide(cleanup, { ...site, folder: join(site.folder, 'none') }, 1)
    await until('told', () => proxy.log.lines.some(l => l.includes('a file for the stream cannot be read')))
    await proxy.close()
    expect(proxy.stream.status()).toMatchObject({ source: 'none', stateHash: '' })
  })

  it('resumes where it was, and takes what it missed as a delta', async () => {
    const op = await operator()
    const wire = await Wire.start(cleanup, () => op.port)
    const proxy = startProxySide(cleanup, site, wire.port)
    await serves(proxy, 'r1')
    wire.cut()
    await until('again', () => opened(op).length === 2)
    expect(opened(op)).toEqual(['false', 'true'])
    world.release(web('a', 'r2'))
    op.server.publish(world.change())
    await serves(proxy, 'r2')
  })

  it('goes to another replica when the one it has stops', async () => {
    const [one, two] = [await operator(), await operator()]
    let target = one.port
    const wire = await Wire.start(cleanup, () => target)
    const proxy = startProxySide(cleanup, site, wire.port)
    await serves(proxy, 'r1')
    target = two.port
    await one.server.close()
    world.release(web('a', 'r2'))
    two.server.publish(world.change())
    await serves(proxy, 'r2')
    expect(opened(two)).toEqual(['true'])
  })

  it('is a fraction of its text on the wire', async () => {
    const sites = Array.from({ length: 500 }, (_, i) => web(`site-${i}`))
    for (const one of sites) world.release(one)
    const op = await operator()
    const wire = await Wire.start(cleanup, () => op.port)
    const proxy = startProxySide(cleanup, site, wire.port)
    await serves(proxy, 'r1', 'Ingress/ns/site-499')
    expect(wire.bytes).toBeLessThan(JSON.stringify(sites.map(one => entry(one))).length / 2)
  })

  it('cut inside a snapshot: nothing of it is served, and the next one is taken', async () => {
    for (let i = 0; i < 2_000; i++) world.release(web(`site-${i}`))
    const op = await operator()
    const wire = await Wire.start(cleanup, () => op.port)
    wire.budget = 60_000
    const proxy = startProxySide(cleanup, site, wire.port)
    await until('stuck inside the snapshot', () => wire.budget === 0)
    await sleep(50)
    expect(proxy.table.sizes.ingresses).toBe(0)
    wire.budget = Infinity
    wire.cut()
    await until('all', () => proxy.table.sizes.ingresses === 2_002)
    expect(proxy.log.lines.filter(l => l.includes('refused'))).toEqual([])
  })

  it('half open: silence ends it, and the pings of a live one do not', async () => {
    const op = await operator({ pingMs: 50 })
    const wire = await Wire.start(cleanup, () => op.port)
    const proxy = startProxySide(cleanup, site, wire.port, { clientTimings: { silence: 300 } })
    await serves(proxy, 'r1')
    await sleep(700)
    expect(opened(op)).toHaveLength(1)
    wire.budget = 0
    await sleep(150)
    // Nobody tells either side; the connection stays open until the client notices.
    expect(opened(op)).toHaveLength(1)
    wire.budget = Infinity
    await until('reconnected', () => wire.accepted >= 2 && opened(op).length === 2)
    expect(proxy.log.lines).toContainEqual(expect.stringContaining('nothing came for 300 ms'))
  })

  it('a server that takes the connection and says nothing is given up on', async () => {
    const port = await scripted(connection => (connection === 1 ? () => undefined : text(hello, ...snapshot([]))))
    const proxy = startProxySide(cleanup, site, port, { clientTimings: { connect: 100 } })
    await until('timeout', () => proxy.log.lines.some(l => l.includes('no answer within 100 ms')))
    await until('table', () => proxy.stream.status().source === 'stream')
  })

  it('slow workers slow the operator down, and lose nothing', async () => {
    const op = await operator({ pingMs: 50 })
    const applied: number[] = []
    let confirm: (() => void)[] = []
    let slow = true
    const sink = new FakeSink()
    sink.apply = (update: TableUpdate): Promise<number> => {
      applied.push(update.endpoints.upsert.size)
      return slow ? new Promise(resolve => confirm.push(() => resolve(0))) : Promise.resolve(0)
    }
    startProxySide(cleanup, site, op.port, { sink, clientTimings: { silence: 200 } })
    await until('first', () => applied.length > 0)
    for (let i = 0; i < 300; i++) {
      world.setEndpoints('ns/a:80', [`10.0.${i >> 8}.${i & 255}:80`])
      op.server.publish(world.change())
    }
    await sleep(500)
    expect(applied.length).toBeLessThanOrEqual(64)
    // The client was not reading, the operator was not silent.
    expect(opened(op)).toHaveLength(1)
    slow = false
    for (const resolve of confirm.splice(0)) resolve()
    confirm = []
    await until('the rest', () => applied.length > 64)
    await sleep(300)
    expect(opened(op)).toHaveLength(1)
  })
})

describe('trying again', () => {
  const table = text(hello, ...snapshot([entry(web('a'))]), observe())
  const whole = table.map(line => `${line}\n`).join('')

  it('is quick again after a connection that was good', async () => {
    const at: number[] = []
    let cut: () => void = () => undefined
    const port = await scripted(connection => (_request, response) => {
      at.push(performance.now())
      if (connection < 8) {
        response.writeHead(503).end()
        return
      }
      response.writeHead(200)
      response.write(whole)
      cut = () => response.destroy()
    })
    const timings = { retryFirst: 20, retryMost: 60_000, livedVerified: 50 }
    const proxy = startProxySide(cleanup, site, port, { clientTimings: timings })
    await until('table', () => proxy.stream.status().source === 'stream')
    await sleep(100)
    const start = performance.now()
    cut()
    await until('again', () => at.length === 9)
    // Had it not counted, this wait were the next of the row: the one before was half to all of 64 first ones, it is half to all of 128.
    expect(at[8]! - start).toBeLessThan(at[7]! - at[6]!)
  })

  it('is not quick where connections end as soon as they brought the table', async () => {
    let connections = 0
    const port = await scripted(connection => (_request, response) => {
      connections = connection
      response.writeHead(200)
      response.end(whole)
    })
    startProxySide(cleanup, site, port, { clientTimings: { retryFirst: 20, retryMost: 60_000 } })
    await sleep(1_500)
    expect(connections).toBeGreaterThan(2)
    expect(connections).toBeLessThan(10)
  })
})

describe('the end', () => {
  it('does not wait for workers that hang', async () => {
    const op = await operator()
    const sink = new FakeSink()
    sink.apply = () => new Promise(() => undefined)
    const proxy = startProxySide(cleanup, site, op.port, { sink })
    await until('reading', () => opened(op).length === 1)
    for (let i = 0; i < 200; i++) {
      world.setEndpoints('ns/a:80', [`10.0.0.${i}:80`])
      op.server.publish(world.change())
      await sleep(1)
    }
    await proxy.close()
    expect(op.reports.at(-1)?.source).toBe('none')
  })
})

describe('who is who', () => {
  it.each([['zstd'], ['identity']])(
    'a client (%s) that leaves while its token is looked at is no connection',
    async coding => {
      const asked = Promise.withResolvers<void>()
      const known = Promise.withResolvers<{ name: string; uid: string; ordinal: number }>()
      const authenticate = (): typeof known.promise => {
        asked.resolve()
        return known.promise
      }
      const op = await operator({ auth: { authenticate, stillOurs: () => true } })
      const client = get({
        ...{ host: '127.0.0.1', port: op.port, path: '/v1/stream', ca: site.authority.pem, servername: SERVICE },
        headers: { authorization: 'Bearer token-1', 'accept-encoding': coding },
      })
      client.on('error', () => undefined)
      await asked.promise
      client.destroy()
      await sleep(100)
      known.resolve({ name: POD, uid: 'uid', ordinal: 0 })
      await sleep(100)
      expect(op.server.connected).toEqual([])
      expect(opened(op)).toEqual([])
    },
  )

  it('the token is read anew for every connection and every report', async () => {
    const op = await operator()
    const wire = await Wire.start(cleanup, () => op.port)
    const proxy = startProxySide(cleanup, site, wire.port)
    await serves(proxy, 'r1')
    await until('reported', () => op.reports.length > 0)
    // As the kubelet does it: a new file in the place of the old.
    await writeFile(join(site.folder, 'token.new'), 'token-2')
    await rename(join(site.folder, 'token.new'), join(site.folder, 'token'))
    op.tokens.clear()
    op.tokens.add('token-2')
    op.asked.length = 0
    wire.cut()
    await until('again', () => opened(op).length === 2)
    op.leader = null
    op.server.announceLeader()
    op.leader = op.address
    const { length } = op.reports
    op.server.announceLeader()
    world.observation = { ...world.observation, objects: [A] }
    op.server.publish(world.change())
    await until('reported', () => op.reports.length > length)
    expect(new Set(op.asked)).toEqual(new Set(['token-2']))
  })

  it('the secret of session tickets comes with each stream, late where it is known late, and into no log', async () => {
    const secret = Buffer.alloc(32, 's').toString('base64')
    const op = await operator()
    const wire = await Wire.start(cleanup, () => op.port)
    const proxy = startProxySide(cleanup, site, wire.port)
    await serves(proxy, 'r1')
    expect(proxy.ticketSecrets).toEqual([])
    op.server.setTicketSecrets([{ day: 20_000, secret }])
    // Looked at every minute, and said only where it is another one.
    op.server.setTicketSecrets([{ day: 20_000, secret }])
    await until('said', () => proxy.ticketSecrets.length === 1)
    wire.cut()
    await until('said again', () => proxy.ticketSecrets.length === 2)
    expect(new Set(proxy.ticketSecrets)).toEqual(new Set([secret]))
    expect([...op.log.lines, ...proxy.log.lines].join()).not.toContain(secret)
  })

  it('a secret of session tickets that is none is refused without being quoted, and the table stays', async () => {
    const [one] = [entry(web('a'))]
    const lines = [...snapshot([one]), observe()].map(message => JSON.stringify(message))
    const port = await scripted(() => [
      ...lines,
      JSON.stringify({ type: 'tickets', secrets: [{ day: 1, secret: 'SHORT' }] }),
    ])
    const proxy = startProxySide(cleanup, site, port)
    await until('refused', () => proxy.stream.status().refusals === 1)
    expect(proxy.log.lines.join()).toContain('tickets: /secrets/0/secret must match pattern')
    expect(proxy.log.lines.join()).not.toContain('SHORT')
    expect(proxy.ticketSecrets).toEqual([])
    await serves(proxy, 'r1')
  })

  it('a token that is refused is tried again, with the table served meanwhile', async () => {
    const op = await operator()
    const wire = await Wire.start(cleanup, () => op.port)
    const proxy = startProxySide(cleanup, site, wire.port)
    await serves(proxy, 'r1')
    op.tokens.clear()
    wire.cut()
    await until('refused', () => proxy.log.lines.some(l => l.includes('401')))
    expect(proxy.log.lines.join()).not.toContain('token-1')
    expect(proxy.table.revision(A)).toBe('r1')
    op.tokens.add('token-1')
    await until('again', () => opened(op).length === 2)
  })

  it('an operator that our authority did not sign is not listened to, until the authority is renewed', async () => {
    const other = await Authority.root('other')
    const leaf = await other.issue({ hosts: [SERVICE] })
    const op = await Operator.start(cleanup, leaf)
    op.server.publish(world.change())
    const proxy = startProxySide(cleanup, site, op.port)
    await until('refused', () => proxy.log.lines.some(l => /certificate|signature/.test(l)))
    expect(op.asked).toEqual([])
    await writeFile(join(site.folder, 'ca.crt'), `${site.authority.pem}${other.pem}`)
    await serves(proxy, 'r1')
    await until('reported', () => op.reports.length > 0)
  })

  it('nor one whose certificate is for another name', async () => {
    const op = await Operator.start(cleanup, await site.authority.issue({ hosts: ['elsewhere.test'] }))
    const proxy = startProxySide(cleanup, site, op.port)
    await until('refused', () => proxy.log.lines.some(l => l.includes('altnames')))
    expect(op.asked).toEqual([])
  })
})

describe('reports', () => {
  it('go to the leader by its address, verified by the name of the Service', async () => {
    const [replica, leader] = [await operator(), await operator()]
    replica.leads = false
    replica.leader = leader.address
    const proxy = startProxySide(cleanup, site, replica.port)
    await until('reported', () => leader.reports.some(r => r.source === 'stream'))
    expect(replica.reports).toEqual([])
    await serves(proxy, 'r1')
  })

  it('follow a 421, and the announcement of another leader', async () => {
    const [one, two] = [await operator(), await operator()]
    startProxySide(cleanup, site, one.port)
    await until('reported', () => one.reports.some(r => r.source === 'stream'))
    const { sequence } = one.reports.at(-1)!
    one.leads = false
    // No ping said so yet: the answer to a report is the first to name the other.
    one.leader = two.address
    world.observation = { objects: [A], hosts: [], intervalMs: 10_000 }
    one.server.publish(world.change())
    await until('redirected', () => two.reports.length > 0)
    expect(two.reports[0]?.sequence).toBe(sequence + 1)
    const before = one.reports.length
    one.server.announceLeader()
    one.leads = true
    one.leader = one.address
    one.server.announceLeader()
    await until('announced', () => one.reports.length > before)
  })

  it('that failed come again under their number, with nothing lost or counted twice', async () => {
    const op = await operator()
    let taken = 0
    const counters = {
      take: () => {
        taken++
        const objects = { [A]: { revision: 'r1', requests: 1, status: [0, 1, 0, 0, 0] as const } }
        return Promise.resolve({ ...NO_COUNTS, objects })
      },
    }
    const refused: number[] = []
    op.onReport = report => {
      if (refused.length >= 3) return
      refused.push(report.sequence)
      throw new Error('the leader is not ready')
    }
    startProxySide(cleanup, site, op.port, { counters, reporterTimings: { interval: 50, gap: 10, coalesce: 5 } })
    world.observation = { objects: [], hosts: [], intervalMs: 50 }
    op.server.publish(world.change())
    await until('several', () => op.reports.length >= 5)
    expect(refused).toEqual([1, 1, 1])
    expect(op.reports.map(r => r.sequence)).toEqual(op.reports.map((_, i) => i + 1))
    expect(op.reports.reduce((n, r) => n + r.objects[A]!.requests, 0)).toBeGreaterThanOrEqual(taken - 1)
  })

  it('come with an answer that was lost, and count once', async () => {
    const op = await operator()
    const wire = await Wire.start(cleanup, () => op.port)
    op.leader = `127.0.0.1:${wire.port}`
    let lose = true
    op.onReport = () => {
      if (lose) wire.budget = 0
      lose = false
    }
    startProxySide(cleanup, site, op.port, { reporterTimings: { answer: 700 } })
    await until('first', () => op.reports.length === 1)
    // Else the answer could come when the way is open again.
    await until('lost', () => wire.stalls === 1)
    wire.budget = Infinity
    await until('second', () => op.reports.length >= 3)
    expect(op.reports.map(r => r.sequence).slice(0, 3)).toEqual([1, 1, 2])
    expect(op.reports[1]).toEqual(op.reports[0])
  })

  it('a last one comes at the end', async () => {
    const op = await operator()
    const proxy = startProxySide(cleanup, site, op.port)
    await until('reported', () => op.reports.some(r => r.source === 'stream'))
    await sleep(100)
    const { length } = op.reports
    await proxy.close()
    expect(op.reports).toHaveLength(length + 1)
    await until('closed', () => op.server.connected.length === 0)
  })
})

describe('a refusal', () => {
  it('is reported, and a full snapshot asked for at once', async () => {
    const [a, a2, b] = [entry(web('a')), entry(web('a', 'r2')), entry(web('b'))]
    // A delta whose base nobody has.
    const lost: StreamMessage = {
      ...{ type: 'delta', sequence: 2, base: '0'.repeat(64), assignments: [], fragments: [], certificates: [] },
      ...{ removed: [], checksums: { ingress: '0'.repeat(32), secret: null }, stateHash: '0'.repeat(64) },
    }
    let connections = 0
    const port = await scripted(connection => {
      connections = connection
      return connection === 1
        ? text(hello, ...snapshot([a, b]), observe(), lost)
        : text(hello, ...snapshot([a2, b]), observe())
    })
    const proxy = startProxySide(cleanup, site, port)
    await serves(proxy, 'r2')
    expect(connections).toBe(2)
    expect(proxy.log.lines).toContainEqual(expect.stringContaining('StateHashMismatch'))
    expect(proxy.log.lines).toContainEqual(expect.stringContaining('updates are accepted again'))
  })

  it('is a first one again after a verified state', async () => {
    const lost = { ...delta([], [entry(web('a'))]), base: '0'.repeat(64) }
    const at: number[] = []
    const port = await scripted(() => {
      at.push(performance.now())
      return text(hello, ...snapshot([entry(web('a'))]), observe(), ...(at.length < 3 ? [lost] : []))
    })
    startProxySide(cleanup, site, port, { clientTimings: { snapshotFirst: 20_000, snapshotMost: 60_000 } })
    await until('the third', () => at.length === 3)
  })

  it('that lasts is no storm of snapshots, with endpoints flowing', async () => {
    const op = await operator()
    const proxy = startProxySide(cleanup, site, op.port, { clientTimings: { snapshotFirst: 200, snapshotMost: 2_000 } })
    await serves(proxy, 'r1')
    world.published = { ingress: 'f'.repeat(32), secret: 'f'.repeat(32) }
    world.release(web('a', 'r2'))
    op.server.publish(world.change())
    const end = performance.now() + 1_500
    for (let i = 0; performance.now() < end; i++) {
      const address = `10.1.0.${i % 250}:80`
      world.setEndpoints('ns/a:80', [address])
      op.server.publish(world.change())
      await until('endpoints', () => proxy.table.snapshot().endpoints.upsert.get('ns/a:80')?.[0] === address)
      await sleep(10)
    }
    expect(proxy.table.revision(A)).toBe('r1')
    // The first, the one at once, and after 100 to 200, 200 to 400, 400 to 800 ms each.
    expect(opened(op).length).toBeGreaterThanOrEqual(3)
    expect(opened(op).length).toBeLessThan(8)
    await until('reported', () => op.reports.at(-1)?.refused[0]?.reason === 'ChecksumMismatch')
    world.published = null
    op.server.publish(world.change())
    await serves(proxy, 'r2')
    await until('reported', () => op.reports.at(-1)?.refused.length === 0)
  })

  it('is tried again sooner when something changed', async () => {
    const [begin, items, end] = snapshot([entry(web('a'))])
    const broken = text(hello, begin!, { ...items!, fragments: [] } as StreamMessage, end!, observe())
    const change: StreamMessage = {
      ...{ type: 'delta', sequence: 2, base: '0'.repeat(64), assignments: [], fragments: [], certificates: [] },
      ...{ removed: [], checksums: { ingress: null, secret: null }, stateHash: '0'.repeat(64) },
    }
    const at: number[] = []
    const port = await scripted(connection => {
      at.push(performance.now())
      // The ninth is the one after which it would wait for 2.56 s at least; with a change for 0.64 s at most.
      return connection < 9 ? broken : [...broken, ...text(change)]
    })
    startProxySide(cleanup, site, port, { clientTimings: { snapshotFirst: 40, snapshotMost: 60_000 } })
    await until('the tenth', () => at.length >= 10, 10_000)
    const waits = at.slice(1).map((time, i) => time - at[i]!)
    expect(waits[7]).toBeGreaterThan(1_200)
    expect(waits[8]).toBeLessThan(2_000)
  }, 15_000)

  it('of a line that is too long to be read is one, too', async () => {
    const long = ['{"type":"ping","leader":"', 'x'.repeat(65 * 1024 * 1024), '"}'].join('')
    const a = entry(web('a'))
    const port = await scripted(connection =>
      connection === 1 ? [...text(hello, ...snapshot([a]), observe()), long] : text(hello, ...snapshot([a]), observe()),
    )
    const proxy = startProxySide(cleanup, site, port)
    await until('again', () => proxy.log.lines.some(l => l.includes('accepted again')), 15_000)
    expect(proxy.log.lines).toContainEqual(expect.stringContaining('SchemaViolation'))
  }, 20_000)

  it('of a line that no schema allows keeps the table; the line is not in the log', async () => {
    const a = entry(web('a'))
    const port = await scripted(connection =>
      connection === 1
        ? [...text(hello, ...snapshot([a]), observe()), '{"type":"delta","certificates":[{"privateKey":"PRIVATE"}]}']
        : text(hello, ...snapshot([a]), observe()),
    )
    const proxy = startProxySide(cleanup, site, port)
    await until('again', () => proxy.log.lines.some(l => l.includes('accepted again')))
    expect(proxy.table.revision(A)).toBe('r1')
    expect(proxy.log.lines).toContainEqual(expect.stringContaining('SchemaViolation'))
    expect(proxy.log.lines.join()).not.toContain('PRIVATE')
  })
})

describe('another version', () => {
  it('message types that are not known are skipped, and told once', async () => {
    const unknown = '{"type":"weather","sunny":true}'
    const port = await scripted(() => [
      ...text(hello),
      unknown,
      unknown,
      ...text(...snapshot([entry(web('a'))])),
      unknown,
    ])
    const proxy = startProxySide(cleanup, site, port)
    await serves(proxy, 'r1')
    await sleep(50)
    expect(proxy.log.lines.filter(l => l.includes('weather'))).toHaveLength(1)
  })

  it('a protocol that is not known is told, and asked for again slowly', async () => {
    let connections = 0
    const port = await scripted(connection => {
      connections = connection
      return text({ ...(hello as object), protocol: 2 } as StreamMessage, ...snapshot([entry(web('a'))]))
    })
    const proxy = startProxySide(cleanup, site, port, { clientTimings: { unsupported: 400 } })
    await until('told', () => proxy.log.lines.some(l => l.includes('another version of the protocol')))
    await sleep(150)
    expect(connections).toBe(1)
    expect(proxy.table.sizes.ingresses).toBe(0)
    await until('again', () => connections === 2)
  })
})

describe('the disk', () => {
  it('a proxy that starts with nobody there serves its last table, and is confirmed later', async () => {
    const stateDir = join(site.folder, 'state')
    const op = await operator()
    const first = startProxySide(cleanup, site, op.port, { stateDir })
    await serves(first, 'r1')
    await first.close()
    await op.server.close()

    const second = startProxySide(cleanup, site, op.port, { stateDir })
    await until('restored', () => second.stream.status().source === 'disk')
    expect(second.table.revisions()).toEqual({ 'Ingress/ns/a': 'r1', 'Ingress/ns/b': 'r1' })
    expect(second.table.snapshot().endpoints.upsert).toEqual(new Map([['ns/a:80', ['10.0.0.1:80']]]))
    expect(second.stream.status().stateHash).toBe(first.stream.status().stateHash)

    const back = await Operator.start(cleanup, site.leaf, op.port)
    back.server.publish(world.change())
    await until('confirmed', () => second.stream.status().source === 'stream')
    expect(opened(back)).toEqual(['true'])
    await until('reported', () => back.reports.some(r => r.source === 'stream'))
  })

  it('a file that is broken is told, and the proxy starts without a table', async () => {
    const stateDir = join(site.folder, 'state')
    const op = await operator()
    const first = startProxySide(cleanup, site, op.port, { stateDir })
    await serves(first, 'r1')
    await first.close()
    await writeFile(join(stateDir, 'table.zst'), 'not what was written')
    const second = startProxySide(cleanup, site, op.port, { stateDir })
    await serves(second, 'r1')
    expect(second.log.lines).toContainEqual(expect.stringContaining('the table on disk is not used'))
    expect(opened(op)).toEqual(['false', 'false'])
  })

  it('a table that does not prove right is served until that is known, and its file is gone', async () => {
    const stateDir = join(site.folder, 'state')
    const file = new LastTable(stateDir)
    const entries = [entry(web('a', 'r7'))]
    const said = { endpoints: [], checksums: checksumsOf(entries), stateHash: 'f'.repeat(64) }
    await file.write(contentsOf(entries, said))
    const op = await operator()
    const proxy = startProxySide(cleanup, site, op.port, { stateDir })
    await until('told', () => proxy.log.lines.some(l => l.includes('it does not prove right')))
    expect(proxy.log.lines).toContainEqual(expect.stringContaining('"code":"SLUICE_DISK_UNPROVEN"'))
    await serves(proxy, 'r1')
    expect(proxy.stream.status()).toMatchObject({ source: 'stream', diskRefused: 1 })
    expect(opened(op)).toEqual(['false'])
    await proxy.close()
    const again = startProxySide(cleanup, site, op.port, { stateDir })
    await until('restored', () => again.stream.status().source !== 'none')
    expect(again.stream.status().diskRefused).toBe(0)
  })

  it('a folder that cannot be written is a warning, and nothing else', async () => {
    const op = await operator()
    await writeFile(join(site.folder, 'file'), '')
    const proxy = startProxySide(cleanup, site, op.port, { stateDir: join(site.folder, 'file') })
    await serves(proxy, 'r1')
    await until('told', () => proxy.log.lines.some(l => l.startsWith('warn disk copy')))
    expect(proxy.stream.status().source).toBe('stream')
  })
})
