/** Whatever a user writes: a value or a UserError, never a bug's stack. */

import t from 'tap'
import { UserError } from '../../src/shared/errors.ts'
import fc from '../property.ts'
import { expression, plain, text } from './support.ts'

const scope = plain({ a: { b: [1, { c: 'x' }] }, n: 3, s: 'text', on: true, nothing: null, list: [1, 2] })

function userErrorsOnly(fn: () => unknown): void {
  try {
    fn()
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    // A message is made of places and frames; making it must work for any place.
    if (error.message === '') throw new Error('an empty message')
  }
}

t.test('templates', async () => {
  const piece = fc.constantFrom(
    ...[
      '{{',
      '}}',
      '{{{',
      '}}}',
      '{{#',
      '{{/',
      '{{else}}',
      '{{^',
      '{{!',
      '{{>',
      '{{&',
      '{{~',
      '~}}',
      '{{{{raw}}}}',
      '{{{{/raw}}}}',
      '\\',
    ],
    ...[
      'if',
      'each',
      'with',
      'a',
      '.b',
      '.[0]',
      '../',
      'this',
      '@index',
      '@root',
      ' ',
      '\n',
      '(',
      ')',
      '"',
      "'",
      '=',
      '|x|',
      ' as ',
      'join',
      'default',
      '5',
      'null',
      'undefined',
      'é',
    ],
    ...['{{#if on}}', '{{/if}}', '{{#each list as |x|}}', '{{/each}}', '{{ a.b }}', '{{ s }}'],
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (parts) =>
      userErrorsOnly(() => text(parts.join('')).evaluate(scope)),
    ),
    { numRuns: 5000, includeErrorInReport: true },
  )
})

t.test('expressions', async () => {
  const piece = fc.constantFrom(
    ...[
      'a',
      '.b',
      '[0]',
      'n',
      's',
      'on',
      'nothing',
      'list',
      'nix',
      ' ',
      '\n',
      '(',
      ')',
      '[',
      ']',
      '{',
      '}',
      '"x"',
      "'",
      '"',
      '1',
      '1.5',
      '1u',
      'b"x"',
      'null',
      'true',
    ],
    ...[
      '+',
      '-',
      '*',
      '/',
      '%',
      '==',
      '!=',
      '<',
      '&&',
      '||',
      '!',
      '?',
      ':',
      ',',
      '.',
      ' in ',
      'has(',
      'size(',
      'default(',
      'defined(',
      '.map(x, ',
      '.exists(x, ',
      'join(',
      'type(',
      'int',
      '\\',
      'é',
      '//',
    ],
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (parts) =>
      userErrorsOnly(() => expression(parts.join('')).evaluate(scope)),
    ),
    { numRuns: 8000, includeErrorInReport: true },
  )
})
