import { X509Certificate, createPrivateKey } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { copier } from '../pki/copies.ts'
import { Authority } from '../pki/pki.ts'
import { TestWorld } from '../stream/world.ts'
import { idsChecksum } from '../../protocol/hash.ts'
import { Ends } from './ends.ts'
import { parseH2load, tlsFaultOf } from './h2load.ts'
import { endpointsOf, hostName, plainHost, tlsHost, tlsHostName } from './hosts.ts'
import { expectBody, parseAnswer } from './http-answer.ts'
import { parseCores, parseRss, parseStat, treeOf } from './proc.ts'
import { oursFailed, renderRounds, versionsOf } from './rounds.ts'
import type { Contender } from './rounds.ts'
import { heldBytes, renderRowB } from './row-b.ts'
import type { Pod } from './row-b.ts'
import { renderRowG } from './row-g.ts'
import { renderRowH } from './row-h.ts'
import { renderRowI } from './row-i.ts'
import type { HeldUp } from './row-h.ts'
import { messageOf } from './row.ts'
import { commandOf, settingsFrom } from './settings.ts'
import { numberText, spreadOf, spreadText } from './stats.ts'
import { table, withSection } from './table.ts'
import { judged } from './targets.ts'
import { faultOf, parseWrk } from './wrk.ts'

describe('/proc', () => {
  const stat = (name: string): string =>
    `4242 (${name}) S 17 4242 4242 0 -1 4194560 9000 11 22 33 150 25 7 8 20 0 11 0 100 200 300 18446744073709551615\n`

  it.each(['node', 'tmux: server', 'a) S 1 (b', '((', 'x y) '])('stat of a process named %j', name => {
    expect(parseStat(stat(name))).toEqual({ pid: 4242, parent: 17, cpuUs: 1_750_000 })
  })

  it.each(['', '4242 (node)', '4242 (node) S 17', 'x (node) S 17 1'])('%j is no stat', text => {
    expect(parseStat(text)).toBeNull()
  })

  it('resident memory and cores of a status', () => {
    const status = 'Name:\tnode\nVmHWM:\t  900 kB\nVmRSS:\t   123 kB\nCpus_allowed:\tf\nCpus_allowed_list:\t0-2,7\n'
    expect(parseRss(status)).toBe(123 * 1024)
    expect(parseRss('Name:\tkthreadd\n')).toBeNull()
    expect(parseCores(status)).toEqual([0, 1, 2, 7])
    expect(parseCores('')).toEqual([])
  })

  it('a tree is the process and all below it, in whatever order they are listed', () => {
    const one = (pid: number, parent: number): { pid: number; parent: number; cpuUs: number } => ({
      ...{ pid, parent, cpuUs: 0 },
    })
    const all = [one(5, 4), one(4, 2), one(2, 1), one(3, 1), one(1, 0), one(6, 2)]
    expect(treeOf(2, all).map(({ pid }) => pid)).toEqual([2, 4, 6, 5])
    expect(treeOf(9, all)).toEqual([])
  })
})

describe('wrk', () => {
  const result = {
    ...{ requests: 1_000, bytes: 1_200_000, durationUs: 2_000_000, p50Us: 900, p99Us: 4_000 },
    ...{ badStatus: 0, socketErrors: 0 },
  }

  it('says what it counted in one line', () => {
    expect(parseWrk(`Running 2s test\n  1 threads\nbench-result ${JSON.stringify(result)}\n`)).toEqual(result)
    expect(() => parseWrk('unable to connect')).toThrow('unable to connect')
  })

  it('every answer has to be right', () => {
    expect(faultOf(result, 1_200, 64)).toBeNull()
    expect(faultOf({ ...result, bytes: result.bytes + 64 * 1_200 }, 1_200, 64)).toBeNull()
    expect(faultOf({ ...result, badStatus: 3 }, 1_200, 64)).toContain('3 of 1000')
    expect(faultOf({ ...result, socketErrors: 1 }, 1_200, 64)).toContain('1 socket error')
    expect(faultOf({ ...result, requests: 0 }, 1_200, 64)).toContain('no answer')
    expect(faultOf(result, 1_300, 64)).toContain('were read')
    expect(faultOf({ ...result, bytes: 2_400_000 }, 1_200, 64)).toContain('were read')
  })
})

describe('h2load', () => {
  const said = `starting benchmark...
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Application protocol: http/1.1

finished in 934.79ms, 213.95 req/s, 31.13KB/s
requests: 200 total, 200 started, 200 done, 199 succeeded, 1 failed, 0 errored, 0 timeout
status codes: 199 2xx, 0 3xx, 1 4xx, 0 5xx
traffic: 29.10KB (29800) total, 21.09KB (21600) headers (space savings 0.00%), 200.00KB (204800) data
`
  const result = { requests: 200, good: 200, bodyBytes: 204_800, seconds: 2, protocol: 'TLSv1.3' }

  it('says what it counted', () => {
    expect(parseH2load(said)).toEqual({ ...result, good: 199, seconds: 0.93479 })
    expect(parseH2load(said.replace('934.79ms', '2.00s')).seconds).toBe(2)
    expect(() => parseH2load('Could not resolve host')).toThrow('Could not resolve')
  })

  it('every answer has to be right, and over TLS 1.3', () => {
    expect(tlsFaultOf(result, 1_024)).toBeNull()
    expect(tlsFaultOf({ ...result, good: 199 }, 1_024)).toContain('1 of 200')
    expect(tlsFaultOf({ ...result, requests: 0, good: 0 }, 1_024)).toContain('no answer')
    expect(tlsFaultOf({ ...result, protocol: 'TLSv1.2' }, 1_024)).toContain('TLSv1.2')
    expect(tlsFaultOf(result, 1_100)).toContain('were read')
    expect(tlsFaultOf({ ...result, bodyBytes: 409_600 }, 1_024)).toContain('were read')
  })
})

describe('answers', () => {
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello'

  it('are taken once they are whole, wherever they are cut', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: text.length }), cut => {
        const answer = cut < text.length ? null : { status: 200, body: 'hello', bytes: text.length, last: false }
        expect(parseAnswer(text.slice(0, cut))).toEqual(answer)
      }),
    )
  })

  it('may be the last of their connection', () => {
    expect(parseAnswer(text.replace('X: y', 'Connection: close'))).toMatchObject({ body: 'hello', last: true })
  })

  it('without a length are refused, and so are others than the upstream’s', () => {
    expect(() => parseAnswer('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')).toThrow('without a length')
    expect(() => expectBody({ status: 502, body: 'bad' }, 'bad')).toThrow('status 502')
    expect(() => expectBody({ status: 200, body: 'bad' }, 'good')).toThrow('3 bytes')
  })
})

describe('figures', () => {
  it('median and spread of any values', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 })
    expect(spreadOf([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 })
    expect(() => spreadOf([])).toThrow(RangeError)
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), values => {
        const { median, min, max } = spreadOf(values)
        expect(values.filter(v => v < median).length).toBeLessThanOrEqual(values.length / 2)
        expect(values.filter(v => v > median).length).toBeLessThanOrEqual(values.length / 2)
        expect([min, max]).toEqual([Math.min(...values), Math.max(...values)])
      }),
    )
  })

  it('are written with their spread where there is one', () => {
    expect(spreadText([24.123])).toBe('24.1')
    expect(spreadText([25, 23, 24.06])).toBe('24.1 (23.0..25.0)')
    expect(numberText(1_234_567.8, 0)).toBe('1 234 568')
  })
})

describe('tables', () => {
  it('stand in columns', () => {
    expect(table(['proxy', 'µs'], [['nginx', '24.1'], ['us']])).toBe(
      ['| proxy |   µs |', '| ----- | ---: |', '| nginx | 24.1 |', '| us    |      |'].join('\n'),
    )
  })

  it('replace what is between their markers, and nothing else', () => {
    const document = '# t\n<!-- bench A -->\nold\n<!-- /bench A -->\n<!-- bench B -->\n<!-- /bench B -->\n'
    const written = '# t\n<!-- bench A -->\nnew $& text\n<!-- /bench A -->\n<!-- bench B -->\n<!-- /bench B -->\n'
    expect(withSection(document, 'A', '\nnew $& text\n')).toBe(written)
    expect(() => withSection(document, 'C', '')).toThrow('no markers <!-- bench C -->')
  })

  it('compare the rounds of one time with each other, and say who is missing', () => {
    const rounds = (...cpu: readonly number[]): readonly { cpu: number; rate: number }[] =>
      cpu.map(us => ({ cpu: us, rate: 1e6 / us }))
    const contenders: readonly Contender[] = [
      { name: 'nginx', version: '1.2', rounds: rounds(20, 40, 30), fault: null },
      { name: 'Traefik', version: '', rounds: [], fault: 'no network' },
      { name: 'Sluice, relay past the streams', version: '0.1', rounds: rounds(25, 50, 37.5), fault: null },
      { name: 'Sluice, relay path', version: '0.1', rounds: rounds(40, 80, 60), fault: null },
      { name: 'Sluice, full path', version: '0.1', rounds: rounds(80, 160, 120), fault: null },
    ]
    const targets = [
      { name: 'Sluice, relay past the streams', ratio: 0.8 },
      { name: 'Sluice, relay path', ratio: 0.8 },
      { name: 'Sluice, full path', ratio: 0.25 },
      { name: 'Sluice, another path', ratio: 0.5 },
    ]
    const text = renderRounds(contenders, { unit: 'request', showsRate: true, targets })
    expect(text).toMatch(/^\| proxy +\| +CPU µs\/request \| +requests\/s on one core \|/)
    expect(renderRounds(contenders, { unit: 'handshake', showsRate: false, targets })).not.toContain('on one core')
    expect(versionsOf(contenders)).not.toContain('Traefik ')
    expect(oursFailed(contenders)).toBe(false)
    expect(oursFailed([...contenders, { name: 'Sluice, x', version: '', rounds: [], fault: 'no' }])).toBe(true)
    expect(text).toContain('another path 0.50 of nginx or more; this build: not measured')
    expect(text).toMatch(/\| nginx 1\.2 +\| +30\.0 \(20\.0\.\.40\.0\) .* 1\.00 \(1\.00\.\.1\.00\) \| +not measured \|/)
    expect(text).toMatch(/\| Traefik +\| +not measured: no network \|/)
    expect(text).toMatch(/\| Sluice, relay path 0\.1 .* 0\.50 \(0\.50\.\.0\.50\) \| +not measured \|/)
    expect(text).toContain('relay past the streams 0.80 of nginx or more; this build: 0.80')
    expect(text).toContain('relay path 0.80 of nginx or more; this build: 0.50')
    expect(text).toContain('full path 0.25 of nginx or more; this build: 0.25')
  })
})

describe('row G', () => {
  it('says what clients of others felt, and who could not be measured', () => {
    const figures = { requests: 16_000, cut: 0, closed: 0, p50: 0.44, p99: 3.1, most: 5 }
    const changed = { ...figures, cut: 28, closed: 292, p99: 71.8 }
    const nginx = { name: 'nginx', version: '1.2', way: 'reload', calm: figures, changed, liveMs: 1_234.5 }
    const text = renderRowG([nginx], [['Caddy', 'no network']])
    expect(text).toMatch(
      /\| nginx 1\.2 \| +reload \| +28 of 16 000 \| +292 \| +0\.4, 3\.1 \| +0\.4, 71\.8 \| +1 235 \|/,
    )
    expect(text).toMatch(/\| Caddy +\| not measured: no network \|/)
  })
})

describe('hosts', () => {
  it('have keys, revisions and Services as in a cluster', () => {
    expect(plainHost(1_234)).toEqual({
      ...{ key: 'Ingress/tenant-34/web-1234', revision: plainHost(1_234).revision, createdAt: 1_700_001_234_000 },
      ...{ governed: false, tls: [] },
      hosts: [
        {
          host: 'host-1234.bench.example',
          paths: [{ type: 'Prefix', path: '/', backend: { service: 'tenant-34/web:80' } }],
        },
      ],
    })
    expect(endpointsOf('127.0.0.1:1')[34]).toEqual(['tenant-34/web:80', ['127.0.0.1:1']])
    const revisions = [plainHost(7), plainHost(8), plainHost(7, { edition: 2 }), plainHost(7, { service: 'other' })]
    expect(new Set(revisions.map(({ revision }) => revision)).size).toBe(4)
    expect(revisions.every(({ revision }) => /^[0-9a-v]{10}$/.test(revision))).toBe(true)
    expect(plainHost(7, { name: 'bench.example' }).hosts[0]?.host).toBe('bench.example')
    expect(hostName(7)).toBe('host-7.bench.example')
  })

  it('with TLS have a valid certificate each, of few keys', async () => {
    const authority = await Authority.root('bench')
    const issuing = await authority.intermediate('issuing')
    const copy = await copier(issuing, tlsHostName(0), { keyType: 'ECDSA', keys: 2 })
    const leaves = [5, 6, 7].map(i => copy(tlsHostName(i)))
    const certificates = leaves.map(({ chain }) => new X509Certificate(chain))
    for (const [i, certificate] of certificates.entries()) {
      expect(certificate.checkHost(tlsHostName(5 + i))).toBeDefined()
      expect(certificate.subject).toBe(`CN=${tlsHostName(5 + i)}`)
      expect(certificate.verify(new X509Certificate(issuing.pem).publicKey)).toBe(true)
      expect(certificate.checkPrivateKey(createPrivateKey(leaves[i]?.privateKey ?? ''))).toBe(true)
      expect(leaves[i]?.chain).toContain(issuing.pem)
    }
    expect(new Set(certificates.map(({ serialNumber }) => serialNumber)).size).toBe(3)
    expect(new Set(leaves.map(({ privateKey }) => privateKey)).size).toBe(2)
    expect(() => copy('short.example')).toThrow(RangeError)
    const [leaf] = leaves
    if (leaf === undefined) throw new Error('no leaf')
    const [ingress, secret] = tlsHost(5, leaf, 'ECDSA')
    expect(ingress.tls).toEqual([{ hosts: [tlsHostName(5)], secret: secret.key }])
    expect(secret).toMatchObject({ key: 'Secret/tenant-5/web-5-tls', chain: leaf.chain, keyType: 'ECDSA' })
  })

  it('of a world that changed in whatever order have the checksum of what is there', () => {
    const change = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 2 }))
    fc.assert(
      fc.property(fc.array(fc.array(change)), batches => {
        const world = new TestWorld()
        const ids = new Map<number, string>()
        for (const batch of batches) {
          for (const [i, edition] of batch) {
            const payload = plainHost(i, { edition })
            if (edition === 0) {
              world.remove(payload.key)
              ids.delete(i)
            } else {
              world.release(payload)
              ids.set(i, `${payload.key.slice('Ingress/'.length)}:${payload.revision}`)
            }
          }
          expect(world.checksums.ingress).toBe(idsChecksum(ids.values()))
        }
      }),
    )
  })
})

describe('targets', () => {
  const limit = { what: 'Held of a host', most: 250, unit: 'bytes', hosts: 1_000 }

  it.each([
    [[234, 236, 900], 1_000, 'Held of a host, 1 000 of them: at most 250 bytes; this build: 236: reached.'],
    [[250], 1_000, 'Held of a host, 1 000 of them: at most 250 bytes; this build: 250: reached.'],
    [[251, 1, 300], 1_000, 'Held of a host, 1 000 of them: at most 250 bytes; this build: 251: **missed**.'],
    [
      ...[[999], 10],
      'Held of a host, 1 000 of them: at most 250 bytes; this build, with 10 of them: 999, which decides nothing.',
    ],
  ] as const)('%j with %i hosts', (figures, hosts, said) => {
    expect(judged(limit, figures, hosts)).toBe(said)
  })

  it('of any number of hosts are decided by every run', () => {
    expect(judged({ ...limit, hosts: null, digits: 1 }, [251], 5)).toBe(
      'Held of a host: at most 250.0 bytes; this build: 251.0: **missed**.',
    )
  })
})

describe('row B', () => {
  const pod = (bytes: number, ms = 1_000): Pod => ({
    ...{ rss: 4 * bytes, heap: 2 * bytes, buffers: bytes / 2, table: bytes, ms, cpuMs: ms },
    ...{ mainStall: 0, workerStall: 0, mainTurn: 0, workerTurn: 0 },
  })
  const row = {
    ...{ none: [pod(0)], plain: [pod(40_000_000, 4_000)], tls: [pod(200_000_000)], streamed: [pod(30_000_000)] },
    ...{ hosts: 500_000, tlsHosts: 100_000, streamedHosts: 100_000, pemBytes: 4_600 },
    ...{ sentBytes: [21_000_000], copyBytes: [9_000_000] },
  }

  it('judges what is held, says what is resident, and restart and snapshot where there were as many hosts as asked for', () => {
    const text = renderRowB(row)
    expect(heldBytes(pod(10))).toBe(30)
    expect(text).toMatch(/\| \*\*held\*\*: these three +\| +240 \| +6 000 \| +900 \|/)
    expect(text).toMatch(/\| rss +\| +320 \| +8 000 \| +1 200 \|/)
    expect(text).toMatch(/\| heaps of all threads +\| +120 \| +3 000 \| +450 \|/)
    expect(text).toMatch(/\| snapshot on the wire +\| +\| +\| +210 \|/)
    expect(text).toMatch(/\| copy on disk, as the pod wrote it +\| +\| +\| +90 \|/)
    expect(text).toContain('Held of a plain host, 500 000 of them: at most 250 bytes; this build: 240: reached.')
    expect(text).toContain('Held of a TLS host, 100 000 of them: at most 6 144 bytes; this build: 6 000: reached.')
    expect(text).toContain('plain hosts, 100 000 of them: at most 3.0 s; this build, with 500 000 of them: 4.0, which')
    expect(text).toContain('TLS hosts, 100 000 of them: at most 3.0 s; this build: 1.0: reached.')
    expect(text).toContain('Snapshot, plain hosts, 100 000 of them: at most 20.0 MB; this build: 21.0: **missed**.')
    expect(text).toContain('has 9.0 MB. A TLS host has 4 600 bytes of PEM')
  })
})

describe('row H', () => {
  const figures = (most: number, cut: number): HeldUp['calm']['load'] => ({
    ...{ requests: 4_800, cut, closed: 0, p50: 0.4, p99: 3, most },
  })
  const phase = (stall: number, turn: number, most: number, cut = 0): HeldUp['calm'] => ({
    load: figures(most, cut),
    threads: { mainStall: 2 * stall, workerStall: stall, mainTurn: 2 * turn, workerTurn: turn },
  })

  it('says how long threads stood still, beside what they do where nothing changes', () => {
    const rounds = [
      { calm: phase(3, 1, 5), changing: phase(25, 4, 30, 1), liveMs: 812 },
      { calm: phase(4, 1, 6), changing: phase(21, 5, 40), liveMs: 900 },
      { calm: phase(3, 1, 5), changing: phase(9, 3, 20), liveMs: 800 },
    ]
    const text = renderRowH(rounds)
    expect(text).toMatch(/\| longest stall of a worker, ms +\| +3\.0 \(3\.0\.\.4\.0\) \| +21\.0 \(9\.0\.\.25\.0\) \|/)
    expect(text).toMatch(/\| longest turn of the main thread, CPU ms \| +2\.0 \(.*\) \| +8\.0 \(6\.0\.\.10\.0\) \|/)
    expect(text).toMatch(/\| slowest request, ms +\| +5\.0 \(5\.0\.\.6\.0\) \| +30\.0 \(20\.0\.\.40\.0\) \|/)
    expect(text).toMatch(/\| requests cut +\| +0 \(0\.\.0\) \| +0 \(0\.\.1\) \|/)
    expect(text).toMatch(/\| served after, ms +\| +\| +812 \(800\.\.900\) \|/)
    expect(text).toContain(
      'Longest stall of a worker: at most 20.0 ms; this build: 21.0: **missed**. Where nothing changed: 3.0. ' +
        'Longest turn of a worker while they change: 4.0 ms of processor time.',
    )
  })
})

describe('row I', () => {
  const rounds = (...cpu: readonly number[]): Contender['rounds'] => cpu.map(us => ({ cpu: us, rate: 1e6 / us }))
  const of = (name: string, ...cpu: readonly number[]): Contender => ({
    ...{ name: `Sluice, ${name}`, version: '0.1', rounds: rounds(...cpu), fault: null },
  })

  it('compares each rule with the round in which nothing was split, and judges the dearest', () => {
    const contenders = [of('nothing is split', 20, 30), of('by weight', 20, 30), of('by cookie', 25, 30), of('late')]
    const text = renderRowI([...contenders, { ...of('broken'), fault: 'no answer' }])
    expect(text).toMatch(/\| by cookie +\| +27\.5 \(25\.0\.\.30\.0\) \| .* 0\.90 \(0\.80\.\.1\.00\) \|/)
    expect(text).toMatch(/\| broken +\| not measured: no answer \|/)
    expect(text).toContain('Target: each 0.95 or more; this build, the least: 0.90, by cookie: **missed**.')
    expect(renderRowI(contenders.slice(0, 2))).toContain('1.00, by weight: reached')
    expect(renderRowI(contenders.slice(0, 1))).toContain('the least: not measured')
  })
})

describe('a reason', () => {
  it.each([
    ["ENOTDIR: not a directory, mkdir '/home/me/.cache/x'", "ENOTDIR: not a directory, mkdir '…'"],
    [
      'Command failed: pip --dest /a/b/ -i https://me:secret@index.example/simple x\nmore',
      'Command failed: pip --dest … -i … x',
    ],
    ['3 of 10 answers were not 2xx, 5 requests/s', '3 of 10 answers were not 2xx, 5 requests/s'],
  ])('%j tells nothing about the machine', (message, told) => {
    expect(messageOf(new Error(message))).toBe(told)
  })
})

describe('settings', () => {
  it('have defaults, and are part of the command that measures again', () => {
    const settings = settingsFrom({})
    expect(settings).toMatchObject({ rounds: 3, duration: 5, rows: ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I'] })
    expect(settings).toMatchObject({ write: false, hosts: 20_000, tlsHosts: 5_000 })
    expect(commandOf('A', settings)).toBe('ONLY=A ROUNDS=3 DURATION=5 make bench')
    expect(commandOf('B', settings)).toBe('ONLY=B ROUNDS=3 HOSTS=20000 TLS_HOSTS=5000 make bench')
    expect(commandOf('G', settings)).toBe('ONLY=G make bench')
    expect(commandOf('H', settings)).toBe('ONLY=H ROUNDS=3 HOSTS=20000 make bench')
    expect(settingsFrom({ ONLY: 'D, A', WRITE: '1', ROUNDS: '1' })).toMatchObject({ rows: ['D', 'A'], write: true })
  })

  it.each([
    ['ONLY', 'J'],
    ['ROUNDS', '0'],
    ['DURATION', '5s'],
    ['HOSTS', '-1'],
    ['HOSTS', '2e5'],
    ['TLS_HOSTS', '99'],
    ['TLS_HOSTS', '200001'],
  ])('%s=%s is refused by name', (name, value) => {
    expect(() => settingsFrom({ [name]: value })).toThrow(`${name}=${value} is not allowed`)
  })
})

describe('ends', () => {
  it('end all there is, the last first, once, whatever fails', async () => {
    const ended: string[] = []
    const ends = new Ends()
    ends.add(() => ended.push('first'))
    await expect(
      ends.during(inner => {
        inner.add(() => ended.push('inner'))
        return Promise.reject(new Error('work'))
      }),
    ).rejects.toThrow('work')
    ends.add(() => {
      throw new Error('end')
    })
    ends.add(() => ended.push('last'))
    await expect(ends.all()).rejects.toThrow('end')
    expect(ended).toEqual(['inner', 'last', 'first'])
  })
})
