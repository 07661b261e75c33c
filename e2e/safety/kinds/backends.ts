/** The Ingress goes to a backend that is wrong in some way. */
import type { Caught, Gate, Kind, Place } from '../kind.ts'
import type { LoadRecord } from '../../load/record.ts'
import { failed } from '../../load/record.ts'
import { ANALYSIS, ownPolicy, web } from '../shop.ts'

/** Everything that this backend answers is a harm, whatever it is. */
const to = (version: string, what: string, caught: Caught, more: Partial<Kind> = {}): Kind => ({
  name: `backend-${version}`,
  family: 'backend',
  what,
  caught,
  change: at => [web(at, { to: version })],
  ...more,
})
const by = (...gates: readonly Gate[]): Caught => ({ by: 'gate', gates })
const waits: Caught = { by: 'waits', says: 'no Service that the update names has an endpoint' }
const failsOf =
  (version: string) =>
  (record: LoadRecord): boolean =>
    record.version === version && failed(record)

/** 15 requests a second on each pod, or more: of a host with 1 % errors 2 250 say what is usual (docs/rollout-policy.md, Limits). */
const NOISY_WARM_UP_MS = 150_000
/** For one point more: 9 000 requests on each pod, of a quarter of an hour that a pod is known by. */
const CLOSE_WARM_UP_MS = 300_000

/**
 * Few errors take many requests: a first batch that shows fewer may not pass. Of 500 requests 2 % are no more than the 0.5 %
 * that the policy allows once in 300 plays, of 1 000 once in 16 000 (binomial).
 * @param seconds until the deadline @param perSecond of all ten pods
 */
const share = (
  version: string,
  beside: string,
  what: string,
  analysis: object = {},
  seconds = 150,
  perSecond = 150,
  warmUpMs = NOISY_WARM_UP_MS,
): Kind =>
  to(version, what, by('successRate'), {
    name: `backend-${version}-beside-${beside}`,
    before: at => [
      ownPolicy(at, { ...ANALYSIS, minRequests: 1_000, deadline: `${seconds}s`, ...analysis }),
      web(at, { to: beside, ownPolicy: true }),
    ],
    change: at => [web(at, { to: version, ownPolicy: true })],
    harmed: failsOf(version),
    perSecond,
    ...(beside === 'noisy' ? { warmUpMs } : {}),
    withinMs: (seconds + 15) * 1_000,
  })

export const BACKENDS: readonly Kind[] = [
  to('fails', 'a Service that answers 500', by('successRate')),
  to('unavailable', 'a Service that answers 503', by('successRate')),
  to('missing', 'the wrong Service: it answers 404', by('clientErrorRate')),
  to('login', 'the wrong Service: it answers 401', by('clientErrorRate')),
  to('forbidden', 'the wrong Service: it answers 403', by('clientErrorRate')),
  to(
    'other',
    'the wrong Service: it answers 200 with another body; a probe names what the body has to hold',
    by('probes'),
    {
      before: at => [ownPolicy(at, { ...ANALYSIS, probes: [bodyOf('v1', at)] }), web(at, { ownPolicy: true })],
      change: at => [web(at, { to: 'other', ownPolicy: true })],
    },
  ),
  to('loop', 'a Service that redirects to where the client just was', by('redirectRate')),
  to('empty', 'a Service without endpoints', waits),
  to('nowhere', 'a Service that does not exist', waits),
  to('v1', 'a port that the Service does not have', waits, {
    name: 'backend-unknown-port',
    change: at => [web(at, { paths: [{ path: '/', to: 'v1', port: { number: 8_888 } }] })],
  }),
  to('closed-port', 'a port on which nobody listens', by('successRate')),
  to('slow', 'a Service that answers after 0.4 s', by('latencyP99')),
  to('hangs', 'a Service that never answers', by('successRate', 'latencyP99', 'clientErrorRate'), {
    // What is under way when it is taken back ends when its clients give up.
    settleMs: 13_000,
    connections: 250,
  }),
  share('errors-5', 'v1', '5 % errors beside none'),
  share('errors-2', 'v1', '2 % errors beside none'),
  share('errors-5', 'noisy', '5 % errors beside 1 %'),
  // Half a point beyond the README's limit would take some 14 000 requests on the first pod (by the binomial, nine times of ten): who wants to see one point more says so.
  // Of 2 000 requests 2 % pass the first batch once in a hundred plays, of 4 000 not in 1 000 (scenarios.ts: `looked for closely`).
  share(
    'errors-2',
    'noisy',
    '2 % errors beside 1 %, `maxDrop: 0.1`, `minRequests: 4000`',
    { minRequests: 4_000, successRate: { min: 95, maxDrop: 0.1 } },
    600,
    300,
    CLOSE_WARM_UP_MS,
  ),
  to('tls-go', 'a Service that speaks TLS alone and says so in plain (Go, nginx: 400)', by('clientErrorRate')),
  to('tls-node', 'a Service that speaks TLS alone and closes what is plain', by('successRate')),
  to('closes', 'a Service that closes the connection in place of an answer', by('successRate')),
  to('cuts', 'a Service that breaks its answers off', by('successRate')),
  to('long-head', 'a Service with 100 kB of headers', by('successRate')),
  {
    name: 'backend-goes-away',
    family: 'backend',
    what: 'the Service of the update loses its endpoints while the first batch bakes',
    caught: by('successRate'),
    before: at => [web(at), copy(at.namespace)],
    change: at => [web(at, { to: 'leaving' })],
    meanwhile: async scene => {
      await scene.kubectl(
        'patch',
        'service/echo-leaving',
        '--type=merge',
        '-p',
        '{"spec":{"selector":{"app":"nobody"}}}',
      )
    },
    // Its answers are v2's, which are as good as v1's.
    harmed: failed,
  },
]

/** A probe that knows the right backend by what it says. */
const bodyOf = (version: string, { host }: Place): object => ({
  ...{ host, path: '/', expectBody: `"version":"${version}"` },
  ...{ timeoutSeconds: 2, intervalSeconds: 1 },
})

/** A Service of its own over the pods of v2. */
function copy(namespace: string): ReturnType<typeof web> {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'echo-leaving', namespace },
    spec: { selector: { app: 'echo-v2' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
  }
}
