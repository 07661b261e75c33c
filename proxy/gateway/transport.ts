/** What carries a request from its connection to a backend. There may be several; all take the same things. */
import type { ClientSide, ExchangeCarrier } from '../connection/contract.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Cluster } from '../upstream/contract.ts'

/** `relay`: requests go right from client to backend, all but upgrades; `full`: all go through Fastify. The first one is the default. */
export const REQUEST_PATHS = ['relay', 'full'] as const
export type RequestPath = (typeof REQUEST_PATHS)[number]

export interface Transport {
  /** Carries the request, which is to be forwarded; from now on its client is the carrier's until it ends the answer. */
  handle(client: ClientSide, exchange: Exchange, cluster: Cluster): ExchangeCarrier
  close(): Promise<void>
}
