/** Which way a request takes. */
import type { ClientSide, ExchangeCarrier } from '../connection/contract.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { wantedUpgrade, type ForwardContext } from '../forward/forward.ts'
import type { Cluster } from '../upstream/contract.ts'
import { FullPath } from './full-path.ts'
import { RelayPath } from './relay-path.ts'
import type { RequestPath, Transport } from './transport.ts'

export class Paths implements Transport {
  readonly #full: FullPath
  readonly #relay: RelayPath | null
  readonly #context: ForwardContext

  static async create(path: RequestPath, context: ForwardContext): Promise<Paths> {
    return new Paths(path, context, await FullPath.create(context))
  }

  private constructor(path: RequestPath, context: ForwardContext, full: FullPath) {
    this.#full = full
    this.#relay = path === 'relay' ? new RelayPath(context) : null
    this.#context = context
  }

  handle(client: ClientSide, exchange: Exchange, cluster: Cluster): ExchangeCarrier {
    const { recorder } = this.#context
    // A tunnel is opened once: what its beginning costs is nothing beside it.
    if (this.#relay === null || wantedUpgrade(exchange) !== null) {
      recorder.carried('full')
      return this.#full.handle(client, exchange, cluster)
    }
    recorder.carried('relay')
    return this.#relay.handle(client, exchange, cluster)
  }

  close(): Promise<void> {
    return this.#full.close()
  }
}
