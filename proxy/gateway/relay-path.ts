/**
 * The relay: a request that is only routed, and edited in its head, goes from its connection to a backend at once. Same
 * rules, same connections, same books as the full path; nothing that was not written for it sees it.
 */
import type { ClientSide, ExchangeCarrier } from '../connection/contract.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { Forward, type ForwardContext } from '../forward/forward.ts'
import type { Cluster } from '../upstream/contract.ts'
import type { Transport } from './transport.ts'

export class RelayPath implements Pick<Transport, 'handle'> {
  readonly #context: ForwardContext

  constructor(context: ForwardContext) {
    this.#context = context
  }

  handle(client: ClientSide, exchange: Exchange, cluster: Cluster): ExchangeCarrier {
    const carrier = new Forward(client, exchange, cluster, this.#context)
    try {
      carrier.start(exchange.startedAt)
    } catch (error) {
      carrier.defect(error)
    }
    return carrier
  }
}
