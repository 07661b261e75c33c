import { MapTable } from './map-table.ts'
import { FakeClusters } from './testing/clusters.ts'
import { tableCases } from './testing/table.cases.ts'

tableCases('MapTable', (clusters = new FakeClusters()) => new MapTable(clusters))
