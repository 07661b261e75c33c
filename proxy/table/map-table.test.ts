import { MapTable } from './map-table.ts'
import { tableCases } from './table.cases.ts'

tableCases('MapTable', () => new MapTable())
