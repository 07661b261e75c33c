import { describe, expect, it } from '@jest/globals'
import type { HelloMessage } from '../../protocol/messages.ts'
import type { StoredContents } from '../disk/contents.ts'
import type { ReadStored } from '../table/stored.ts'
import { certificate } from '../table/testing/fixtures.ts'
import { kept, readerOf, type KeptImage } from '../table/testing/stored.ts'
import type { Entry } from '../table/entry.ts'
import { delta, entry, hashOf, observe, ReceiverRig, site, snapshot } from './testing/messages.ts'

const web = entry(site('web'))
const shop = entry(site('shop'))
const both = [web, shop]
const addresses = { 'ns/web:80': ['10.0.0.1:80'], 'ns/shop:80': ['10.0.0.2:80'] }
const schemaViolation = { reason: 'SchemaViolation', object: null, message: 'delta: /base is missing' } as const

async function serving(entries: readonly Entry[] = both, endpoints = addresses): Promise<ReceiverRig> {
  const rig = new ReceiverRig()
  rig.receiver.connect(null)
  expect(await rig.feed(...snapshot(entries, endpoints))).toBe('verified')
  await rig.feed(observe())
  await rig.receiver.settled()
  rig.events.length = 0
  return rig
}

function addressesOf(rig: ReceiverRig): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(rig.sink.table.snapshot().endpoints.upsert)
}

/** What it keeps on disk, as it would be read. */
function storedOf({ receiver }: ReceiverRig, more: Partial<StoredContents> = {}): ReadStored<StoredContents> {
  const { image, close, ...said } = receiver.contents()!
  const all = kept(image)
  close()
  return readerOf(all, { ...said, ...more })
}

function imageIn({ receiver }: ReceiverRig): KeptImage {
  const { image, close } = receiver.contents()!
  const all = kept(image)
  close()
  return all
}

const NEVER = new AbortController().signal

/** A delta to r2 of web whose content was changed on the way. */
function corrupted() {
  const message = delta(both, [entry(site('web', 'r2')), shop])
  return { ...message, fragments: message.fragments.map(f => ({ ...f, createdAt: 1 })) }
}

describe('a snapshot', () => {
  it('reaches the workers as one step, with its endpoints, and only at its end', async () => {
    const rig = new ReceiverRig()
    rig.receiver.connect(null)
    const [begin, items, end] = snapshot(both, addresses)
    await rig.feed(begin!, items!)
    expect(rig.sink.updates).toEqual([])
    expect(await rig.feed(end!)).toBe('verified')
    expect(rig.sink.updates).toHaveLength(1)
    expect(rig.sink.updates[0]).toMatchObject({
      reset: true,
      endpoints: { upsert: new Map(Object.entries(addresses)) },
    })
    await rig.receiver.settled()
    expect(rig.receiver.served.stateHash).toBe(hashOf(both))
    expect(rig.receiver.served.source).toBe('stream')
    expect(rig.receiver.served.revision('Ingress/ns/web')).toBe('r1')
    expect(rig.receiver.served.revision('Ingress/ns/else')).toBeNull()
  })

  it('is confirmed only when every worker serves it', async () => {
    const rig = new ReceiverRig()
    rig.sink.hold()
    rig.receiver.connect(null)
    await rig.feed(...snapshot(both))
    await new Promise(resolve => setImmediate(resolve))
    expect(rig.receiver.served.stateHash).toBe('')
    rig.sink.release()
    await rig.receiver.settled()
    expect(rig.receiver.served.stateHash).toBe(hashOf(both))
  })

  it('cut off by a new connection leaves nothing behind', async () => {
    const rig = await serving()
    rig.receiver.connect(rig.receiver.resumeHash)
    await rig.feed(...snapshot([entry(site('web', 'r2'))]).slice(0, 2))
    rig.receiver.connect(rig.receiver.resumeHash)
    expect(await rig.feed(...snapshot([web]))).toBe('verified')
    expect(rig.sink.table.revisions()).toEqual({ 'Ingress/ns/web': 'r1' })
  })

  it('whose proof is under way when the connection ends is forgotten', async () => {
    const many = Array.from({ length: 3_000 }, (_, i) => entry(site(`web-${i}`)))
    for (const end of ['disconnect', 'connect'] as const) {
      const rig = await serving()
      const before = rig.receiver.resumeHash
      rig.receiver.connect(null)
      const received = rig.feed(...snapshot(many))
      await new Promise(resolve => setImmediate(resolve))
      if (end === 'connect') rig.receiver.connect(before)
      else rig.receiver.disconnect()
      expect(await received).toBe('taken')
      expect(rig.receiver.resumeHash).toBe(before)
      expect(rig.sink.table.sizes.ingresses).toBe(2)
    }
  })

  it('with thousands of Services reaches the workers whole, from the stream and from disk', async () => {
    const names = Array.from({ length: 5_000 }, (_, i) => `web-${i}`)
    const table = Object.fromEntries(names.map(name => [`ns/${name}:80`, ['10.0.0.1:80']]))
    const rig = new ReceiverRig()
    rig.receiver.connect(null)
    expect(
      await rig.feed(
        ...snapshot(
          names.map(name => entry(site(name))),
          table,
        ),
      ),
    ).toBe('verified')
    expect(rig.sink.updates).toHaveLength(1)
    expect(addressesOf(rig)).toEqual(table)
    const restored = new ReceiverRig()
    await rig.receiver.settled()
    expect(await restored.receiver.restore(storedOf(rig))).toBe(true)
    expect(addressesOf(restored)).toEqual(table)
    expect(await restored.receiver.proveRestored(NEVER)).toBe(5_000)
  }, 30_000)

  it('a later one changes only what differs', async () => {
    const rig = await serving()
    rig.sink.updates.length = 0
    rig.receiver.connect(null)
    await rig.feed(...snapshot([entry(site('web', 'r2')), shop], addresses))
    expect(rig.sink.updates).toHaveLength(1)
    expect(rig.sink.updates[0]).toMatchObject({
      ...{ reset: false, objects: { upsert: [{ assignment: { key: 'Ingress/ns/web' } }], remove: [] } },
    })
  })
})

describe('a refused update', () => {
  it('leaves the table as it is, says why, and asks for everything anew', async () => {
    const rig = await serving()
    expect(await rig.feed(corrupted())).toBe('refused')
    expect(rig.receiver.refusals).toMatchObject([{ reason: 'DigestMismatch', object: 'Ingress/ns/web' }])
    expect(rig.sink.table.revision('Ingress/ns/web')).toBe('r1')
    expect(rig.receiver.served.stateHash).toBe(hashOf(both))
    expect(rig.receiver.resumeHash).toBeNull()
    expect(rig.events).toEqual(['refusals'])
  })

  it('is told once, however often it comes', async () => {
    const rig = await serving()
    await rig.feed(corrupted())
    rig.receiver.connect(null)
    const [begin, items, end] = snapshot(both)
    const broken = { ...items!, fragments: [site('web', 'r1')].map(f => ({ ...f, createdAt: 1 })) } as typeof items
    expect(await rig.feed(begin!, broken!, end!)).toBe('refused')
    rig.receiver.connect(null)
    expect(await rig.feed(begin!, broken!, end!)).toBe('refused')
    expect(rig.events.filter(e => e === 'refusals')).toHaveLength(2)
    expect(rig.log.lines.filter(l => l.startsWith('error'))).toHaveLength(2)
  })

  it('does not stop endpoints', async () => {
    const rig = await serving()
    await rig.feed(corrupted())
    await rig.feed({ type: 'endpoints', upsert: { 'ns/web:80': ['10.0.0.9:80'] }, remove: [] })
    expect(addressesOf(rig)['ns/web:80']).toEqual(['10.0.0.9:80'])
  })

  it('does not take away the addresses that the served table needs', async () => {
    const rig = await serving()
    const message = { ...delta(both, [shop]), checksums: { ingress: '0'.repeat(32), secret: null } }
    expect(await rig.feed(message, { type: 'endpoints', upsert: {}, remove: ['ns/web:80'] })).toBe('taken')
    expect(rig.reasons).toEqual(['ChecksumMismatch'])
    expect(addressesOf(rig)['ns/web:80']).toEqual(['10.0.0.1:80'])
    // The removal is verified at last: the addresses go with the fragment.
    rig.receiver.connect(null)
    expect(await rig.feed(...snapshot([shop], { 'ns/shop:80': ['10.0.0.2:80'] }))).toBe('verified')
    expect(addressesOf(rig)).toEqual({ 'ns/shop:80': ['10.0.0.2:80'] })
  })

  it('what follows it waits for the snapshot, which ends it', async () => {
    const rig = await serving()
    await rig.feed(corrupted())
    expect(await rig.feed(delta([entry(site('web', 'r2')), shop], both))).toBe('waiting')
    rig.receiver.connect(null)
    expect(await rig.feed(...snapshot([entry(site('web', 'r2')), shop]))).toBe('verified')
    expect(rig.receiver.refusals).toEqual([])
    expect(rig.receiver.resumeHash).toBe(hashOf([entry(site('web', 'r2')), shop]))
    expect(rig.sink.table.revision('Ingress/ns/web')).toBe('r2')
  })
})

describe('an update that could not be written', () => {
  it('is never served, nor is one after it, and no copy of it is kept', async () => {
    const rig = await serving()
    const before = imageIn(rig)
    const full = new Error('the memory is full')
    rig.sink.apply = () => Promise.reject(full)
    rig.sink.written = () => Promise.reject(full)
    expect(await rig.feed(delta(both, [entry(site('web', 'r2')), shop]))).toBe('taken')
    rig.receiver.connect(null)
    expect(await rig.feed(...snapshot([web]))).toBe('taken')
    await rig.receiver.settled()
    expect(rig.receiver.served.stateHash).toBe(hashOf(both))
    expect(rig.receiver.served.revision('Ingress/ns/web')).toBe('r1')
    expect(imageIn(rig)).toEqual(before)
    expect(rig.receiver.refusals).toEqual([])
  })

  it('is told once, where it is the one that fails', async () => {
    const rig = await serving()
    let broken = false
    rig.sink.apply = () => {
      broken = true
      return Promise.reject(new Error('the memory is full'))
    }
    rig.sink.written = () => (broken ? Promise.reject(new Error('the memory is full')) : Promise.resolve())
    const after = [entry(site('web', 'r2')), shop]
    expect(await rig.feed(delta(both, after))).toBe('verified')
    expect(await rig.feed(delta(after, both))).toBe('taken')
    await rig.receiver.settled()
    expect(rig.log.lines.filter(line => line.startsWith('error'))).toEqual([
      expect.stringContaining('a table update failed') as unknown,
    ])
    expect(rig.receiver.served.revision('Ingress/ns/web')).toBe('r1')
  })
})

describe('an end', () => {
  it('waits for what workers have yet to serve, also behind an update that could not be written', async () => {
    const rig = await serving()
    rig.sink.hold()
    const after = [entry(site('web', 'r2')), shop]
    await rig.feed(delta(both, after))
    rig.sink.apply = () => Promise.reject(new Error('the memory is full'))
    await rig.feed(delta(after, both))
    let settled = false
    const end = rig.receiver.settled().then(() => (settled = true))
    await new Promise(resolve => setImmediate(resolve))
    expect([settled, rig.receiver.served.stateHash]).toEqual([false, hashOf(both)])
    rig.sink.release()
    await end
    expect(rig.receiver.served.stateHash).toBe(hashOf(after))
  })
})

describe('a line that was lost', () => {
  it('spoils the snapshot that it was part of, and stays the reason', async () => {
    const rig = await serving()
    rig.receiver.connect(null)
    const [begin, items, end] = snapshot([web])
    await rig.feed(begin!)
    expect(rig.receiver.refuse(schemaViolation)).toBe('refused')
    expect(await rig.feed(items!, end!)).toBe('taken')
    expect(rig.receiver.refusals).toEqual([schemaViolation])
    expect(rig.sink.table.revision('Ingress/ns/shop')).toBe('r1')
  })

  it('takes no addresses away that it may have named', async () => {
    const rig = await serving([web], addresses)
    rig.receiver.connect(rig.receiver.resumeHash)
    rig.receiver.refuse(schemaViolation)
    await rig.feed(observe())
    expect(addressesOf(rig)).toEqual(addresses)
  })

  it('confirms no resumed state', async () => {
    const rig = await serving()
    rig.receiver.connect(rig.receiver.resumeHash)
    rig.receiver.refuse(schemaViolation)
    expect(await rig.feed(observe())).toBe('taken')
    expect(rig.reasons).toEqual(['SchemaViolation'])
  })

  it.each(['snapshot-items', 'snapshot-end'])('%s out of order is one, too', async type => {
    const rig = new ReceiverRig()
    rig.receiver.connect(null)
    expect(await rig.feed(snapshot(both).find(m => m.type === type)!)).toBe('refused')
    expect(rig.reasons).toEqual(['SchemaViolation'])
  })

  it('a delta before any snapshot is refused', async () => {
    const rig = new ReceiverRig()
    rig.receiver.connect(null)
    expect(await rig.feed(delta([], both))).toBe('refused')
    expect(rig.reasons).toEqual(['SchemaViolation'])
  })
})

describe('resuming', () => {
  it('ends with observe, and drops endpoints that were not named before it', async () => {
    const rig = await serving([web], addresses)
    rig.receiver.connect(rig.receiver.resumeHash)
    await rig.feed({ type: 'endpoints', upsert: { 'ns/web:80': ['10.0.0.7:80'] }, remove: [] })
    expect(await rig.feed(observe('Ingress/ns/web'))).toBe('verified')
    expect(addressesOf(rig)).toEqual({ 'ns/web:80': ['10.0.0.7:80'] })
    expect(rig.events).toContain('observe Ingress/ns/web')
  })

  it('makes a table from disk one of the stream', async () => {
    const from = await serving()
    const rig = new ReceiverRig()
    expect(await rig.receiver.restore(storedOf(from))).toBe(true)
    expect(rig.receiver.served.source).toBe('disk')
    expect(rig.receiver.served.revision('Ingress/ns/web')).toBe('r1')
    expect(addressesOf(rig)).toEqual(addresses)
    // It is served, and nobody says that it is right, nor writes it anew.
    expect([rig.receiver.resumeHash, rig.receiver.contents()]).toEqual([null, null])
    expect(rig.events).toEqual([])
    expect(await rig.receiver.proveRestored(NEVER)).toBe(2)
    // In no order.
    expect(rig.events.map(event => event.length)).toEqual([
      'served {"Ingress/ns/web":"r1","Ingress/ns/shop":"r1"}'.length,
    ])
    expect(rig.receiver.resumeHash).toBe(hashOf(both))
    rig.receiver.connect(rig.receiver.resumeHash)
    await rig.feed({ type: 'endpoints', upsert: addresses, remove: [] }, observe())
    await rig.receiver.settled()
    expect(rig.receiver.served.source).toBe('stream')
    expect(rig.sink.updates.filter(u => u.reset)).toHaveLength(0)
  })

  it('a table from disk goes on like one of the stream, Services that are needed too', async () => {
    const from = await serving()
    const rig = new ReceiverRig()
    await rig.receiver.restore(storedOf(from))
    await rig.receiver.proveRestored(NEVER)
    rig.receiver.connect(rig.receiver.resumeHash)
    // Not listed any more, and kept while a path needs it.
    await rig.feed({ type: 'endpoints', upsert: { 'ns/web:80': ['10.0.0.1:80'] }, remove: [] }, observe())
    await rig.receiver.settled()
    expect(Object.keys(addressesOf(rig)).sort()).toEqual(['ns/shop:80', 'ns/web:80'])
    expect(await rig.feed(delta(both, [entry(site('web', 'r2'))]))).toBe('verified')
    await rig.receiver.settled()
    expect(rig.sink.table.revisions()).toEqual({ 'Ingress/ns/web': 'r2' })
    expect(Object.keys(addressesOf(rig))).toEqual(['ns/web:80'])
  })

  it.each<[string, Partial<StoredContents>]>([
    ['hash', { stateHash: 'f'.repeat(64) }],
    ['checksum', { checksums: { ingress: 'f'.repeat(32), secret: 'f'.repeat(32) } }],
    ['no checksum', { checksums: { ingress: null, secret: null } }],
  ])('a table from disk of another %s is served no more when that is known', async (_name, more) => {
    const stored = storedOf(await serving(), more)
    const rig = new ReceiverRig()
    expect(await rig.receiver.restore(stored)).toBe(true)
    expect(rig.receiver.served.source).toBe('disk')
    await expect(rig.receiver.proveRestored(NEVER)).rejects.toMatchObject({ code: 'SLUICE_DISK_UNPROVEN' })
    expect([rig.sink.withdrawals, rig.sink.updates]).toEqual([1, []])
    expect([rig.receiver.served.source, rig.receiver.served.stateHash]).toEqual(['none', ''])
    expect(rig.receiver.served.revision('Ingress/ns/web')).toBeNull()
    expect([rig.receiver.resumeHash, rig.receiver.refusals]).toEqual([null, []])
    // What the operator says then is the first table.
    rig.receiver.connect(null)
    expect(await rig.feed(...snapshot([web]))).toBe('verified')
    await rig.receiver.settled()
    expect(rig.sink.updates[0]?.reset).toBe(true)
    expect(rig.receiver.served.revision('Ingress/ns/web')).toBe('r1')
    expect(rig.receiver.served.source).toBe('stream')
  })

  it('with any word of its image changed a table from disk is not proven, or says the same', async () => {
    const secret = { ...certificate('web', 'RSA'), chain: 'CHAIN', privateKey: 'PRIVATE' }
    const from = await serving([web, shop, entry(secret)])
    const { image: _, close, ...said } = from.receiver.contents()!
    close()
    const image = imageIn(from)
    let refused = 0
    for (let at = 0; at < image.words.length; at++) {
      const words = image.words.slice()
      words[at] = (words[at] ?? 0) ^ 0x11
      const rig = new ReceiverRig()
      await rig.receiver.restore(readerOf({ head: image.head, words }, said))
      try {
        await rig.receiver.proveRestored(NEVER)
        expect(rig.sink.table.revisions()).toEqual(from.sink.table.revisions())
        expect(rig.receiver.served.stateHash).toBe(said.stateHash)
      } catch (error) {
        expect(error).toMatchObject({ code: 'SLUICE_DISK_UNPROVEN' })
        expect(`${String(error)} ${rig.log.lines.join()}`).not.toContain('PRIVATE')
        expect(rig.sink.withdrawals).toBe(1)
        refused++
      }
    }
    expect(refused).toBeGreaterThan(image.words.length / 3)
  }, 30_000)

  it('a proof that is given up says nothing of the table', async () => {
    const stored = storedOf(await serving())
    const rig = new ReceiverRig()
    await rig.receiver.restore(stored)
    const end = new AbortController()
    end.abort(new Error('the end'))
    await expect(rig.receiver.proveRestored(end.signal)).rejects.toThrow('the end')
    expect([rig.sink.withdrawals, rig.receiver.served.source]).toEqual([0, 'disk'])
  })
})

describe('what a replica holds back', () => {
  const mismatch = { ...{ expected: 'a', actual: 'b', missing: ['ns/x:1'], unexpected: [] }, message: 'it differs' }

  it('is a refusal until it is resolved', async () => {
    const rig = await serving()
    await rig.feed({ type: 'held', kind: 'Ingress', mismatch })
    expect(rig.receiver.refusals).toEqual([{ reason: 'Held', object: 'ns/x:1', message: 'it differs' }])
    await rig.feed({ type: 'held', kind: 'Ingress', mismatch: null })
    expect(rig.receiver.refusals).toEqual([])
  })

  it('is forgotten when another replica says that it holds nothing', async () => {
    const rig = await serving()
    await rig.feed({ type: 'held', kind: 'Secret', mismatch })
    rig.receiver.connect(rig.receiver.resumeHash)
    expect(rig.reasons).toEqual(['Held'])
    await rig.feed(observe())
    expect(rig.reasons).toEqual([])
  })

  it('stays held when the same replica has something else to observe', async () => {
    const rig = await serving()
    await rig.feed({ type: 'held', kind: 'Secret', mismatch }, observe('Ingress/ns/web'))
    expect(rig.reasons).toEqual(['Held'])
  })

  it('does not keep the state from being resumed', async () => {
    const rig = await serving()
    await rig.feed({ type: 'held', kind: 'Secret', mismatch })
    expect(rig.receiver.resumeHash).toBe(hashOf(both))
  })
})

describe('other messages', () => {
  const hello: HelloMessage = {
    ...{ type: 'hello', protocol: 1, operator: 'v', leader: '10.0.0.1:8443', pod: 'p', ordinal: 0 },
  }

  it('hello and ping name the leader', async () => {
    const rig = new ReceiverRig()
    await rig.feed(hello, { type: 'ping', leader: null })
    expect(rig.events).toEqual(['leader 10.0.0.1:8443', 'leader none'])
  })

  it('another version of the protocol is not listened to', async () => {
    const rig = new ReceiverRig()
    expect(await rig.feed({ ...hello, protocol: 2 })).toBe('unsupported')
    expect(rig.events).toEqual([])
  })

  it('the secrets of session tickets go on, whenever they come, and into no log, state or copy on disk', async () => {
    const rig = new ReceiverRig()
    const [secret, other] = ['s', 't'].map(fill => Buffer.alloc(32, fill).toString('base64')) as [string, string]
    rig.receiver.connect(null)
    const tickets = {
      type: 'tickets',
      secrets: [
        { day: 20_000, secret },
        { day: 20_001, secret: other },
      ],
    } as const
    expect(await rig.feed(tickets)).toBe('taken')
    expect(rig.events).toEqual([`tickets 20000 ${secret}`, `tickets 20001 ${other}`])
    const [begin, ...others] = snapshot([web])
    expect(await rig.feed(begin!, tickets, ...others)).toBe('verified')
    await rig.receiver.settled()
    const image = Buffer.from(imageIn(rig).words.buffer).toString('latin1')
    const all = JSON.stringify([rig.log.lines, image, rig.sink.updates, rig.receiver.served])
    expect(all).toContain('ns/web')
    for (const text of [secret, 's'.repeat(32)]) expect(all).not.toContain(text)
  })

  it('certificates go with the fragments, and their keys into no log', async () => {
    const secret = { ...certificate('web', 'ECDSA'), privateKey: 'PRIVATE' }
    const rig = await serving([web, entry(secret)])
    expect(rig.sink.table.sizes.certificates).toBe(1)
    const broken = delta([web, entry(secret)], [web, entry({ ...secret, revision: 'r2' })])
    await rig.feed({ ...broken, certificates: broken.certificates.map(c => ({ ...c, chain: 'x' })) })
    expect(rig.reasons).toEqual(['DigestMismatch'])
    expect(rig.log.lines.join()).not.toContain('PRIVATE')
  })
})

describe('back pressure', () => {
  it('there is no room while workers are far behind', async () => {
    const rig = await serving()
    rig.sink.hold()
    for (let i = 0; i < 64; i++)
      await rig.feed({ type: 'endpoints', upsert: { 'ns/web:80': [`10.0.1.${i}:80`] }, remove: [] })
    let room = false
    const waited = rig.receiver.room().then(() => (room = true))
    await new Promise(resolve => setImmediate(resolve))
    expect(room).toBe(false)
    rig.sink.release()
    await waited
    await rig.receiver.room()
    expect(addressesOf(rig)['ns/web:80']).toEqual(['10.0.1.63:80'])
  })
})
