import { type Download, FETCH_PRELUDE, fetchTo } from '../changes/download.ts'
import { type AskKind, ask, map, type Read, ReadError } from '../read.ts'

const urlKind: AskKind<Download, Buffer | ReadError> = {
  name: 'url',
  prelude: FETCH_PRELUDE,
  // Names, proxies, certificates, and what a server of this very host gives: all of it stands in files.
  reads: ({ url }) => [`url:${url}`, 'file:*'],
  sections: (keys) => keys.length,
  script: (keys) => keys.map((from) => `${fetchTo(from, '-')} 2>&1; rb_mark\n`).join(''),
  parse: (sections, keys) =>
    sections.map(({ out, rc }, i) =>
      rc === 0 ? out : new ReadError(`the host cannot fetch ${keys[i]!.url}: ${out.toString('utf8').trim()}`),
    ),
}

/** A small document that the host itself fetches, such as a file of checksums. */
export function url(from: Download): Read<Buffer> {
  return map(ask(urlKind, from), (answer) => {
    if (answer instanceof ReadError) throw answer
    return answer
  })
}
