/** Reading what controllers answer, which is not always what the schemas say. Nothing here throws. */

export type Json = Readonly<Record<string, unknown>>

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export const asText = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** A member that is an object. */
export function memberOf(value: unknown, name: string): Json | undefined {
  const member = isJson(value) ? value[name] : undefined
  return isJson(member) ? member : undefined
}

/** The path that a reference or resource names. */
export function idOf(value: unknown): string | undefined {
  const id = isJson(value) ? asText(value['@odata.id']) : undefined
  return id?.startsWith('/') ? id : undefined
}

/** `PROPERTY@Redfish.AllowableValues` (DSP0266, 7.5.5); undefined when it is not said. */
export function allowableValues(value: unknown, property: string): readonly string[] | undefined {
  const list = isJson(value) ? value[`${property}@Redfish.AllowableValues`] : undefined
  const texts = Array.isArray(list) ? list.filter((item) => typeof item === 'string') : []
  return texts.length > 0 ? texts : undefined
}

export interface Message {
  /** Without registry and version: `PropertyNotWritable`. */
  readonly id: string
  readonly text: string
}

/** What an error answer says (DSP0266, 8.6): the extended messages, else the general one. */
export function messagesOf(body: unknown): readonly Message[] {
  const error = memberOf(body, 'error')
  const extended = error?.['@Message.ExtendedInfo']
  const messages = (Array.isArray(extended) ? extended : [extended]).filter(isJson).map((message) => {
    const id = asText(message.MessageId)?.split('.').at(-1) ?? ''
    return { id, text: oneLine(asText(message.Message) ?? id) }
  })
  const told = messages.filter(({ text }) => text !== '' && text !== 'GeneralError')
  if (told.length > 0) return told
  const text = oneLine(asText(error?.message) ?? asText(error?.code) ?? '')
  return text === '' ? [] : [{ id: '', text }]
}

/** For a terminal: one line, no control characters, no novels, no full stop. */
function oneLine(text: string): string {
  const clean = text
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim()
    .replace(/\.$/, '')
  return clean.length > 300 ? `${clean.slice(0, 300)}…` : clean
}
