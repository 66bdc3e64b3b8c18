/** What the modules of kubeadm have in common. Pure, but for what takes an ActionContext. */
export * from './cluster.ts'
export * from './config.ts'
export * from './host.ts'
export * from './node.ts'
export * from './run.ts'
export * from './source.ts'
export * from './version.ts'
