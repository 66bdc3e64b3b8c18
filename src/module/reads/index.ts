export * from './archive.ts'
export * from './files.ts'
export * from './find.ts'
export * from './kernel.ts'
export * from './mounts.ts'
export {
  type Manager,
  type PackageKey,
  type PackageManager,
  type PackageState,
  packageManager,
  packages,
} from './packages.ts'
export * from './rpm-version.ts'
export * from './said.ts'
export * from './script.ts'
export * from './swap.ts'
export * from './units.ts'
export * from './upgradable.ts'
export * from './url.ts'
export * from './users.ts'
