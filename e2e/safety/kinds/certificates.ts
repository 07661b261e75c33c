/** Certificates that clients refuse, or that cannot be served at all. Clients come by TLS and trust one authority. */
import { Authority, mismatched } from '../../pki/pki.ts'
import type { Leaf } from '../../pki/pki.ts'
import { tlsSecret } from '../../node/harness/manifests.ts'
import type { Caught, Kind, Place } from '../kind.ts'
import { web } from '../shop.ts'

const judged: Caught = { by: 'gate', gates: ['tlsFailureRate'] }
const waits = (says: string): Caught => ({ by: 'waits', says })
const refused = (reason: string): Caught => ({ by: 'refused', reason })
const hosts = (at: Place): { readonly hosts: readonly string[] } => ({ hosts: [at.host] })
const secret = (at: Place, leaf: Leaf): ReturnType<typeof tlsSecret> => tlsSecret(at.namespace, at.secret, leaf)
const DAY_MS = 24 * 3_600_000

/** A renewal of the Secret that the Ingress names. */
function renewal(name: string, what: string, caught: Caught, make: (at: Place) => Promise<Leaf>): Kind {
  return {
    name: `certificate-${name}`,
    family: 'certificate',
    what,
    caught,
    tls: true,
    before: async at => [secret(at, await at.trusted.issue(hosts(at))), web(at, { secret: at.secret })],
    change: async at => [secret(at, await make(at))],
    object: at => at.secret,
  }
}

/** A change of the Ingress's own `tls`. */
function section(name: string, what: string, caught: Caught, change: Kind['change']): Kind {
  return {
    ...renewal(name, what, caught, at => at.trusted.issue(hosts(at))),
    ...(change === undefined ? {} : { change }),
    object: at => at.name,
  }
}

/** Without the intermediate that signed it. */
async function incomplete(at: Place): Promise<Leaf> {
  const { chain, privateKey } = await (await at.trusted.intermediate('Between')).issue(hosts(at))
  return { chain: blocks(chain)[0] ?? '', privateKey }
}

/** With an intermediate that did not sign it. */
async function broken(at: Place): Promise<Leaf> {
  const [one, other] = [await at.trusted.intermediate('Between'), await at.trusted.intermediate('Elsewhere')]
  const leaf = await one.issue(hosts(at))
  const foreign = blocks((await other.issue(hosts(at))).chain)[1] ?? ''
  return { chain: (blocks(leaf.chain)[0] ?? '') + foreign, privateKey: leaf.privateKey }
}

const blocks = (pem: string): readonly string[] => pem.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? []

export const CERTIFICATES: readonly Kind[] = [
  renewal('untrusted', 'a certificate of an authority that the clients do not know', judged, at =>
    at.unknown.issue(hosts(at)),
  ),
  renewal('incomplete', 'a certificate without its intermediate', judged, incomplete),
  renewal('broken-chain', 'a chain with an intermediate that did not sign it', refused('ChainBroken'), broken),
  renewal('expired', 'an expired certificate', refused('CertificateExpired'), at => at.trusted.issueExpired(hosts(at))),
  renewal('early', 'a certificate that is not valid yet', refused('CertificateNotYetValid'), at =>
    at.trusted.issue({ ...hosts(at), notBefore: new Date(Date.now() + DAY_MS) }),
  ),
  renewal('wrong-name', 'a certificate for another host', refused('HostNotCovered'), at =>
    at.trusted.issue({ hosts: ['other.test'] }),
  ),
  renewal('wrong-key', 'a key that is not the certificate’s', refused('KeyMismatch'), async at =>
    mismatched(await at.trusted.issue(hosts(at)), await at.trusted.issue(hosts(at))),
  ),
  renewal('unreadable', 'a certificate that is none', refused('CertificateUnreadable'), async at => ({
    chain: 'none\n',
    privateKey: (await at.trusted.issue(hosts(at))).privateKey,
  })),
  {
    ...renewal('deleted', 'the Secret is deleted', { by: 'kept' }, at => at.trusted.issue(hosts(at))),
    change: () => [],
    act: async scene => {
      await scene.kubectl('delete', `secret/${scene.place.secret}`)
    },
  },
  section('section-lost', 'the Ingress loses its `tls`', judged, at => [web(at)]),
  section('wrong-secret', 'the Ingress names the Secret of another host', judged, async at => [
    tlsSecret(
      at.namespace,
      `${at.name}-else`,
      await (await Authority.root('Elsewhere')).issue({ hosts: ['else.test'] }),
    ),
    web(at, { secret: `${at.name}-else` }),
  ]),
  section('no-secret', 'the Ingress names a Secret that does not exist', waits('-nowhere does not exist'), at => [
    web(at, { secret: `${at.name}-nowhere` }),
  ]),
]
