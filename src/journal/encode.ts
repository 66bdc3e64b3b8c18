/** Events as JSON of bounded size: a journal must not grow with the output of somebody's command. */

/** UTF-16 units of one text of an event, and of a whole registered result. */
export const LONGEST_TEXT = 16 * 1024
export const LARGEST_RESULT = 64 * 1024

/** An event as JSON; texts that are too long keep their beginning and end. */
export function encode(event: object): string {
  const json = JSON.stringify(event)
  return json.length <= LONGEST_TEXT ? json : JSON.stringify(event, (_key, value) => shorten(value))
}

/** A registered result as JSON, or undefined when it is too large to be kept: resume then runs the task again. */
export function encodeResult(result: object): string | undefined {
  const json = JSON.stringify(result)
  return json.length <= LARGEST_RESULT ? json : undefined
}

function shorten(value: unknown): unknown {
  if (typeof value !== 'string' || value.length <= LONGEST_TEXT) return value
  const half = LONGEST_TEXT / 2
  return `${value.slice(0, half)}\n… ${value.length - LONGEST_TEXT} characters left out …\n${value.slice(-half)}`
}
