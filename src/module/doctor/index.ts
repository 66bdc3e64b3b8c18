/** Why a node does not work: what to read of it, and the first broken link of its chain. */
export { type Diagnosis, describe, diagnose, LINKS, type Link, type LinkState } from './diagnose.ts'
export { look, parseSigns, type Service, type Signs, type Volume } from './look.ts'
