/** All crossings, in the order of the table. docs/crossings.md */
import { EDIT_IN_PLACE, TEMPORARY, certificate } from './certificates.ts'
import { releases } from './helm.ts'
import { deletion } from './names.ts'
import { phases } from './phases.ts'
import { besideTakenBack, manyAtOnce, manyFree } from './renewals.ts'
import { copied, withoutObjects, withoutStore } from './restore.ts'
import type { Scenario, Within } from './scenario.ts'

const ISSUING: Within = { by: 'seconds', seconds: 60 }
const beside = (scenario: string): Within => ({ by: 'beside', scenario })

const CERTIFICATES: readonly Scenario[] = [
  certificate({
    ...{ name: 'new-free', what: 'a new host, nobody governs', act: 'new host', policy: 'none', within: ISSUING },
  }),
  certificate({
    ...{ name: 'new-quiet', what: 'a new host, governed, quiet', act: 'new host', policy: 'usual' },
    within: beside('new-free'),
  }),
  certificate({
    ...{ name: 'new-busy', what: 'a new host, governed, busy', act: 'new host', policy: 'usual', busy: true },
    within: beside('new-free'),
  }),
  certificate({
    ...{ name: 'new-readme', what: "a new host, README's own policy, quiet", act: 'new host', policy: 'readme' },
    within: beside('new-free'),
  }),
  certificate({
    ...{ name: 'new-pauses', what: 'a new host, a policy with `pause: {}`, quiet', act: 'new host', policy: 'pauses' },
    within: beside('new-free'),
  }),
  certificate({
    ...{ name: 'edit-free', what: 'edit in place, nobody governs', act: 'new host', policy: 'none' },
    ...{ annotations: EDIT_IN_PLACE, within: ISSUING },
  }),
  certificate({
    ...{ name: 'edit-quiet', what: 'edit in place, governed, quiet', act: 'new host', policy: 'usual' },
    ...{ annotations: EDIT_IN_PLACE, within: beside('edit-free') },
  }),
  certificate({
    ...{ name: 'edit-busy', what: 'edit in place, governed, busy', act: 'new host', policy: 'usual', busy: true },
    ...{ annotations: EDIT_IN_PLACE, within: beside('edit-free') },
  }),
  certificate({
    ...{ name: 'temporary-free', what: 'a temporary certificate first, nobody governs', act: 'new host' },
    ...{ policy: 'none', annotations: TEMPORARY, within: ISSUING },
  }),
  certificate({
    ...{ name: 'temporary-quiet', what: 'a temporary certificate first, governed, quiet', act: 'new host' },
    ...{ policy: 'usual', annotations: TEMPORARY, within: beside('temporary-free') },
  }),
  certificate({
    ...{ name: 'temporary-busy', what: 'a temporary certificate first, governed, busy', act: 'new host', busy: true },
    ...{ policy: 'usual', annotations: TEMPORARY, within: beside('temporary-free') },
  }),
  certificate({
    ...{ name: 'waits-quiet', what: '`waitInsteadOfSelfCheck`, governed, quiet', act: 'new host', policy: 'usual' },
    ...{ waits: true, within: beside('new-free') },
  }),
  certificate({
    ...{ name: 'renewal-free', what: 'a renewal, nobody governs', act: 'renewal', policy: 'none', within: ISSUING },
  }),
  certificate({
    ...{ name: 'renewal-busy', what: 'a renewal, governed, busy', act: 'renewal', policy: 'usual', busy: true },
    within: beside('renewal-free'),
  }),
  certificate({
    ...{ name: 'renewal-quiet', what: 'a renewal, governed, quiet', act: 'renewal', policy: 'usual' },
    within: beside('renewal-free'),
  }),
  certificate({
    ...{ name: 'renewal-readme', what: "a renewal, README's own policy, quiet", act: 'renewal', policy: 'readme' },
    within: beside('renewal-free'),
  }),
  certificate({
    ...{ name: 'renewal-pauses', what: 'a renewal, a policy with `pause: {}`, quiet', act: 'renewal' },
    ...{ policy: 'pauses', within: beside('renewal-free') },
  }),
  certificate({
    ...{ name: 'host-added-free', what: 'a host is added to a certificate, nobody governs', act: 'another host' },
    ...{ policy: 'none', within: ISSUING },
  }),
  certificate({
    ...{ name: 'host-added', what: 'a quiet host is added to the certificate of a busy one', act: 'another host' },
    ...{ policy: 'usual', busy: true, within: beside('host-added-free') },
  }),
  certificate({
    ...{ name: 'deleted-free', what: 'its Secret is deleted, nobody governs', act: 'Secret deleted', policy: 'none' },
    within: ISSUING,
  }),
  certificate({
    ...{ name: 'deleted-busy', what: 'its Secret is deleted, governed, busy', act: 'Secret deleted', policy: 'usual' },
    ...{ busy: true, within: beside('deleted-free') },
  }),
  certificate({
    ...{ name: 'deleted-quiet', what: 'its Secret is deleted, governed, quiet', act: 'Secret deleted' },
    ...{ policy: 'usual', within: beside('deleted-free') },
  }),
  {
    ...{ name: 'renewal-beside-rollback', what: 'edit in place, a renewal after a change was taken back, busy' },
    ...{ program: 'cert-manager', within: beside('renewal-free') },
    play: world => besideTakenBack('renewal-beside-rollback', world),
  },
  {
    // So many at once are all that cert-manager does for a minute: whoever renews beside them waits for it.
    ...{ name: 'renewals-25-free', what: '25 quiet hosts are renewed at once, nobody governs', alone: true },
    ...{ program: 'cert-manager', within: { by: 'seconds', seconds: 180 } },
    play: world => manyFree('renewals-25-free', world),
  },
  {
    ...{ name: 'renewals-25', what: '25 quiet hosts are renewed at once, and a busy one is changed', alone: true },
    // More than a policy has places (`maxConcurrent`).
    ...{ program: 'cert-manager', within: beside('renewals-25-free') },
    play: world => manyAtOnce('renewals-25', world),
  },
]

const OTHERS: readonly Scenario[] = [
  {
    ...{ name: 'deleted-in-use', what: 'an Ingress in use is deleted: its name goes, then its clients, then it' },
    ...{ program: 'external-dns', within: { by: 'seconds', seconds: 180 } },
    play: world => deletion('deleted-in-use', world),
  },
  {
    ...{ name: 'releases', what: 'install, a good and a bad upgrade, uninstall, install again' },
    ...{ program: 'helm', within: { by: 'seconds', seconds: 240 } },
    play: world => releases('releases', world),
  },
  {
    ...{ name: 'phases', what: 'every phase of rollouts and policies, against the tables of gitops.md' },
    ...{ program: 'kstatus and Argo CD', within: { by: 'seconds', seconds: 180 } },
    play: world => phases('phases', world),
  },
  {
    ...{ name: 'objects-copied', what: 'objects with rollout annotations in another namespace', alone: true },
    ...{ program: 'a restore', within: { by: 'seconds', seconds: 30 } },
    play: world => copied('objects-copied', world),
  },
  {
    ...{ name: 'store-without-objects', what: 'the store comes back, the objects do not', alone: true },
    ...{ program: 'a restore', within: { by: 'seconds', seconds: 240 } },
    play: world => withoutObjects('store-without-objects', world),
  },
  {
    ...{ name: 'objects-without-store', what: 'the objects come back, the store does not', alone: true },
    ...{ program: 'a restore', within: { by: 'seconds', seconds: 60 } },
    play: world => withoutStore('objects-without-store', world),
  },
]

export const CATALOGUE: readonly Scenario[] = [...CERTIFICATES, ...OTHERS]

/** Those whose name has one of the words, and those that they are measured by. */
export function chosen(words: readonly string[]): readonly Scenario[] {
  const wanted = CATALOGUE.filter(({ name }) => words.length === 0 || words.some(word => name.includes(word)))
  const measures = new Set(wanted.flatMap(({ within }) => (within.by === 'seconds' ? [] : [within.scenario])))
  return CATALOGUE.filter(one => wanted.includes(one) || measures.has(one.name))
}
