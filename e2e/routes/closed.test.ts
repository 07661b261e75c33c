/**
 * Protection that is not supported, from outside: requests over real sockets, what the real proxies counted of them, the
 * protocol between, and the real controllers over an API server in memory. DESIGN: "rolled out, and not taken back for
 * its own 503s".
 */
import { Agent } from 'node:http'
import { afterEach, describe, expect, it } from '@jest/globals'
import { LeaderProcess, cluster, outcomeOf } from '../../operator/control/testing.ts'
import type { FakeApi } from '../../operator/kube/testing/fake-api.ts'
import type { IngressRolloutStatus } from '../../operator/model/generated/crds.ts'
import { ingress, policy, service, slice } from '../../operator/pipeline/testing.ts'
import { Figures } from '../../operator/rollout/analysis/window.ts'
import type { HostCounters, Report } from '../../protocol/messages.ts'
import type { Fragment } from '../../protocol/objects.ts'
import { parseReport } from '../../protocol/schemas.ts'
import { ReportCounts } from '../../proxy/report/aggregate.ts'
import { endpoints, upsert } from '../../proxy/table/testing/fixtures.ts'
import { Ends, ask, startBackend, startPlane, type Rig } from '../../proxy/workers/testing/harness.ts'

const HOST = 'shop.example'
const AUTH = 'nginx.ingress.kubernetes.io/auth-url'
const ENDS: readonly (string | undefined)[] = ['Complete', 'RolledBack', 'Paused']

const ends = new Ends()
afterEach(() => ends.all())

/** What a proxy of the version before sent. */
function older({ closed = 0, ...of }: HostCounters): HostCounters {
  const [s1, s2, s3, s4, s5] = of.status
  return { ...of, requests: of.requests + closed, status: [s1, s2, s3, s4, s5 + closed] }
}

/** One proxy: real tables, sockets and counters; its stream is a method call. */
class Pod {
  readonly #ordinal: number
  readonly #rig: Rig
  readonly #agent = new Agent({ keepAlive: true })
  readonly #counts: ReportCounts
  #sequence = 0

  constructor(ordinal: number, rig: Rig) {
    this.#ordinal = ordinal
    this.#rig = rig
    this.#counts = new ReportCounts({
      flush: () => {
        const delta = rig.plane.flushCounts()
        if (delta !== null) this.#counts.add(delta)
        return Promise.resolve()
      },
      ...{ reports: () => true, revision: () => null },
    })
    ends.add(() => this.#agent.destroy())
  }

  get name(): string {
    return `sluice-proxy-${this.#ordinal}`
  }

  serve(fragments: readonly Fragment[], addresses: Readonly<Record<string, readonly string[]>>): void {
    this.#rig.apply(upsert(...fragments))
    this.#rig.apply(endpoints(addresses))
  }

  async ask(paths: readonly string[]): Promise<readonly number[]> {
    const all = paths.map(path => ask(this.#rig.http, { host: HOST, path, agent: this.#agent }))
    return (await Promise.all(all)).map(({ status }) => status)
  }

  async report(revisions: Report['revisions'], old: boolean): Promise<Report> {
    const { hosts, objects } = await this.#counts.take()
    const sent: Report = {
      ...{ type: 'report', protocol: 1, pod: this.name, instance: 'one', sequence: this.#sequence++, stateHash: '' },
      ...{ source: 'stream', checksums: { ingress: null, secret: null }, refused: [], revisions, objects },
      hosts: old ? Object.fromEntries(Object.entries(hosts).map(([host, of]) => [host, older(of)])) : hosts,
    }
    return parseReport(JSON.stringify(sent))
  }
}

class Shop {
  readonly api: FakeApi
  readonly leader: LeaderProcess
  /** By pod: the last answers. */
  readonly answers: (readonly number[])[] = []
  /** What is asked of every pod each second. */
  paths: readonly string[] = Array.from({ length: 8 }, () => '/')
  /** Services, and where they are. */
  services: Readonly<Record<string, readonly string[]>> = {}
  /** Proxies are of the version before. */
  old = false
  readonly #figures: Figures
  readonly #pods: readonly Pod[]

  private constructor(api: FakeApi, figures: Figures, pods: readonly Pod[]) {
    this.api = api
    this.#figures = figures
    this.#pods = pods
    this.leader = new LeaderProcess(api, { pods: pods.length, figures })
  }

  /**
   * Two pods; the Service `web` answers, `broken` answers 500. The Ingress is served from before there was a policy.
   * @param annotations of the Ingress
   */
  static async open(annotations: Readonly<Record<string, string>> = {}): Promise<Shop> {
    const rigs = [await startPlane(ends), await startPlane(ends)]
    const pods = rigs.map((rig, ordinal) => new Pod(ordinal, rig))
    const fine = await startBackend(ends, (_request, response) => response.end('ok'))
    const broken = await startBackend(ends, (_request, response) => response.writeHead(500).end())
    const names = ['web', 'broken']
    const api = cluster(
      ['ingresses', ingress({ annotations })],
      ...names.map(name => ['services', service(name)] as const),
      ...names.map(name => ['endpointslices', slice(name, '198.18.0.1')] as const),
    )
    const shop = new Shop(api, new Figures(), pods)
    shop.services = { 'shop/web:80': [fine], 'shop/broken:80': [broken] }
    await shop.leader.start()
    const analysis = { interval: '1s', minRequests: 10, deadline: '20s', successRate: { min: 99, maxDrop: 0.5 } }
    api.put('ingressrolloutpolicies', policy({ spec: { bakeTime: '4s', analysis } }))
    await shop.seconds(3)
    return shop
  }

  get status(): IngressRolloutStatus {
    return this.api.all('ingressrollouts').at(-1)?.['status'] ?? {}
  }

  change(annotations: Readonly<Record<string, string | null>>, to = 'web'): void {
    const { spec } = ingress({ service: to })
    this.api.edit('ingresses', 'shop/web', { metadata: { annotations }, spec })
  }

  async seconds(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await this.leader.seconds(1)
      for (const [ordinal, pod] of this.#pods.entries()) {
        const entries = [...this.leader.pipeline.live.values()]
        const given = entries.flatMap(({ key, update, current }) => {
          const revision = this.leader.given(key, ordinal)
          const payload = [update, current].find(one => one?.revision === revision)
          return payload === undefined || payload === null ? [] : [payload.value as Fragment]
        })
        pod.serve(given, this.services)
        this.answers[ordinal] = await pod.ask(this.paths)
        const revisions = Object.fromEntries(entries.map(({ key }) => [key, this.leader.given(key, ordinal)]))
        this.#figures.add(pod.name, ordinal, await pod.report(revisions, this.old), this.leader.clock.now())
      }
    }
  }

  /** Until the newest rollout has ended or waits for a person, and the pods do as it left them. */
  async ended(): Promise<string | undefined> {
    const { length } = this.api.all('ingressrollouts')
    await this.leader.settle()
    expect(this.api.all('ingressrollouts').length).toBe(length + 1)
    for (let i = 0; i < 60 && !ENDS.includes(this.status.phase); i++) await this.seconds(1)
    await this.seconds(1)
    return this.status.phase
  }

  condition(type: string): string | undefined {
    return this.status.conditions?.find(one => one.type === type && one.status === 'True')?.message
  }
}

describe('an open Ingress that asks for protection that is not supported', () => {
  it.each([
    ['is closed on all pods', false],
    ['also while proxies of an older version count its 503 as failures', true],
  ])('%s, and its rollout says so', async (_, old) => {
    const shop = await Shop.open()
    shop.old = old
    shop.change({ [AUTH]: 'https://login.example' })
    expect(await shop.ended()).toBe('Complete')
    expect(shop.answers.flat()).toEqual(Array.from({ length: 16 }, () => 503))
    const words = /; closed: .*auth-url protects authentication and is not supported/
    expect([shop.status.message, shop.condition('Complete')]).toEqual([
      expect.stringMatching(words),
      expect.stringMatching(words),
    ])
    const { name, figures } = shop.status.gates?.find(gate => gate.name === 'closed') ?? {}
    expect([name, (figures?.['closed'] ?? 0) > 0]).toEqual(['closed', !old])
    expect((await outcomeOf(shop.api)).record?.refused).toEqual([])
  })
})

describe('a closed Ingress that is opened', () => {
  it.each([
    ['goes out if it works', 'web', 'Complete', 200],
    ['is closed again if its backend fails: that stable pods answer 503 excuses nothing', 'broken', 'RolledBack', 503],
  ] as const)('%s', async (_, to, phase, status) => {
    const shop = await Shop.open({ [AUTH]: 'https://login.example' })
    expect(new Set(shop.answers.flat())).toEqual(new Set([503]))
    shop.change({ [AUTH]: null }, to)
    expect(await shop.ended()).toBe(phase)
    expect(shop.answers.flat()).toEqual(Array.from({ length: 16 }, () => status))
  })
})

describe('an open Ingress on a host that another one closes in part', () => {
  it.each([
    ['good', 'web', 'Complete'],
    ['bad', 'broken', 'RolledBack'],
  ])('is judged by its own requests: a %s change', async (_, to, phase) => {
    const shop = await Shop.open()
    const backend = { service: { name: 'web', port: { number: 80 } } }
    const rules = [{ host: HOST, http: { paths: [{ path: '/admin', pathType: 'Prefix', backend }] } }]
    const { metadata } = ingress({ name: 'admin', annotations: { [AUTH]: 'https://login.example' } })
    shop.api.put('ingresses', { kind: 'Ingress', metadata, spec: { ingressClassName: 'sluice', rules } })
    expect(await shop.ended()).toBe('Complete')
    shop.paths = ['/', '/', '/', ...Array.from({ length: 9 }, () => '/admin')]
    await shop.seconds(2)
    expect(new Set(shop.answers[0]?.slice(3))).toEqual(new Set([503]))
    shop.change({ 'nginx.ingress.kubernetes.io/rewrite-target': '/' }, to)
    expect(await shop.ended()).toBe(phase)
    expect(shop.answers.flatMap(statuses => statuses.slice(0, 3))).toEqual(Array.from({ length: 6 }, () => 200))
  })
})
