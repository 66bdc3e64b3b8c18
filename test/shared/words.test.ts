import t from 'tap'
import { quoteAll, splitWords } from '../../src/shared/quote.ts'
import fc from '../property.ts'

const rows: [string, string[] | undefined][] = [
  ['', []],
  ['  ls  -l ', ['ls', '-l']],
  [`echo 'a b' "c \\"d\\" $x" e\\ f ''`, ['echo', 'a b', 'c "d" $x', 'e f', '']],
  [`pre'mid'"end"`, ['premidend']],
  [`echo "open`, undefined],
  [`echo it's`, undefined],
  ['echo \\', undefined],
]
for (const [line, words] of rows) t.same(splitWords(line), words, JSON.stringify(line))

t.doesNotThrow(() =>
  fc.assert(
    fc.property(
      fc.array(
        fc.string().filter((s) => !s.includes('\0')),
        { minLength: 1 },
      ),
      (words) => {
        t.strictSame(splitWords(quoteAll(words)), words)
      },
    ),
    { numRuns: 50 },
  ),
)
