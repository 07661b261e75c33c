/** Writer and reader of a shared table in one: a Table that serves each update at once. */
import { SharedMemory } from '../../memory/shared-memory.ts'
import type { Clusters } from '../../upstream/contract.ts'
import type { TableExplainer, TableReader } from '../contract.ts'
import { SharedTable } from '../shared-table.ts'
import { SharedTableWriter } from '../shared-writer.ts'
import type { TableUpdate } from '../update.ts'

export interface Table extends TableReader, TableExplainer {
  apply(update: TableUpdate): void
  reclaim(): void
}

/** Of less address space: tests make thousands. */
export function smallWriter(): SharedTableWriter {
  return new SharedTableWriter(SharedMemory.create(2 ** 26))
}

export function sharedTable(clusters: Clusters): Table {
  const writer = smallWriter()
  const reader = new SharedTable(writer.memory.buffer, clusters)
  return {
    apply: update => {
      const { generation, certificates } = writer.apply(update, reader.generation)
      reader.advance(generation)
      reader.forget(certificates)
    },
    reclaim: () => reader.reclaim(),
    route: (host, path) => reader.route(host, path),
    certificates: name => reader.certificates(name),
    requestHost: host => reader.requestHost(host),
    tlsHost: name => reader.tlsHost(name),
    entries: host => reader.entries(host),
  }
}
