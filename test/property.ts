/**
 * fast-check for the project's tests: import it from here. A run that decides whether a change lands uses one seed, so that
 * the same commit gives the same answer; `npm run test:full` looks for what other seeds find.
 */
import fc from 'fast-check'

/** `random`, or the seed of every property. */
const seed = process.env.PROPERTY_SEED ?? '20261120'
if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) })

export default fc
