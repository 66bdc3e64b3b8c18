/** containerd's configuration: which version wants which file. */
export * from './config.ts'
export * from './plugins.ts'
export * from './proxy.ts'
export * from './registry.ts'
export * from './version.ts'
