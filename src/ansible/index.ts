export { type ImportResult, importAnsible } from './import.ts'
export type { Finding, ImportReport } from './report.ts'
