import { describe, expect, it } from '@jest/globals'
import { revisionOf } from '../model/revision.ts'
import type { IngressContent, SourceObject } from '../model/types.ts'
import { withoutChallenges } from './challenges.ts'
import { adopt, begin, takeBack } from './records.ts'
import { hashOf } from './revisions.ts'
import { ingress } from './testing.ts'

const backend = { service: { name: 'web', port: { number: 80 } } }
const app = { path: '/', pathType: 'Prefix', backend }
const challenge = { path: '/.well-known/acme-challenge/token', pathType: 'Exact', backend }
const contentOf = (...paths: readonly (typeof app)[]): IngressContent => ({
  ...{ kind: 'Ingress', annotations: {} },
  spec: { rules: [{ host: 'a.example', http: { paths } }] },
})
const plain = contentOf(app)
const whole = contentOf(challenge, app)
/** As an operator that knows nothing of challenges saw it. */
const old = (content: IngressContent): SourceObject => ({
  ...ingress(revisionOf(content)),
  content,
})
const now: SourceObject = {
  ...old(plain),
  challenges: {
    paths: [{ host: 'a.example', path: challenge.path, service: 'web', port: 80 }],
    asContent: revisionOf(whole),
  },
}

describe('a record that was written while challenges were content', () => {
  it('keeps its names, which mean the content without them now', () => {
    const record = adopt(old(whole))
    const next = withoutChallenges(record, now)
    expect(next.current).toBe(revisionOf(whole))
    expect(next.revisions[revisionOf(whole)]).toEqual({ hash: revisionOf(plain), content: plain })
    expect(hashOf(next, next.current)).toBe(now.revision)
    expect(withoutChallenges(next, now)).toBe(next)
    expect(withoutChallenges(record, null).revisions).toEqual(next.revisions)
  })

  it('refuses without its challenges what was refused with them, unless that is released', () => {
    const bad = contentOf(challenge, { ...app, path: '/bad' })
    const record = takeBack(begin(adopt(old(plain)), old(bad)))
    const badNow: SourceObject = {
      ...old(contentOf({ ...app, path: '/bad' })),
      challenges: { paths: now.challenges?.paths ?? [], asContent: revisionOf(bad) },
    }
    const next = withoutChallenges(record, badNow)
    expect(next.refused).toEqual([revisionOf(bad), badNow.revision])
    expect(withoutChallenges(next, badNow)).toBe(next)
    // The challenge alone was taken back: what is left is released.
    const harmless = takeBack(begin(adopt(old(plain)), old(whole)))
    expect(withoutChallenges(harmless, now)).toBe(harmless)
  })

  it('is the same object where there are none', () => {
    const record = adopt(old(plain))
    expect(withoutChallenges(record, old(plain))).toBe(record)
  })
})
