export * from './files.ts'
export * from './script.ts'
export * from './system.ts'
export * from './url.ts'
