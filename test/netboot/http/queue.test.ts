import t from 'tap'
import { Places, shareOf } from '../../../src/netboot/http/queue.ts'
import fc from '../../property.ts'

const never = new AbortController().signal

t.test('nobody has all of the places', async (t) => {
  const places = new Places(8, 8)
  const got: string[] = []
  const take = (who: string, gone = never): Promise<unknown> =>
    places.take(who, gone).then((yes) => got.push(`${who} ${yes}`))
  for (let i = 0; i < 8; i++) void take('greedy')
  await new Promise(setImmediate)
  t.same([got.length, places.taken, places.waiting], [6, 6, 2])
  await take('other')
  await take('third')
  t.equal(places.taken, 8)
  void take('other')
  places.leave('third')
  await new Promise(setImmediate)
  t.equal(got.at(-1), 'other true', 'before those of the greedy one, which came first')
  places.leave('greedy')
  await new Promise(setImmediate)
  t.equal(got.at(-1), 'greedy true')
  for (let i = 0; i < 8; i++) void take('greedy')
  await new Promise(setImmediate)
  t.equal(places.waiting, 6, 'nor all of the queue')
  t.match(got.slice(-3), ['greedy false', 'greedy false', 'greedy false'])
  const gone = new AbortController()
  void take('fourth', gone.signal)
  gone.abort()
  await new Promise(setImmediate)
  t.equal(got.at(-1), 'fourth false')
})

t.test(
  'whatever comes and goes: never more than there are, and nobody waits beside a place that he may have',
  async () => {
    const step = fc.record({
      who: fc.constantFrom('a', 'b', 'c'),
      does: fc.constantFrom('take', 'take', 'leave', 'go'),
    })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 60 }), async (most, steps) => {
        const places = new Places(most, 10)
        const having: string[] = []
        const waiting: { who: string; gone: AbortController }[] = []
        for (const { who, does } of steps) {
          if (does === 'take') {
            const one = { who, gone: new AbortController() }
            waiting.push(one)
            void places.take(who, one.gone.signal).then((got) => {
              waiting.splice(waiting.indexOf(one), 1)
              if (got) having.push(who)
            })
          } else if (does === 'go') waiting.find((one) => one.who === who)?.gone.abort()
          else if (having.includes(who)) places.leave(having.splice(having.indexOf(who), 1)[0]!)
          await new Promise(setImmediate)
          const count = (one: string): number => having.filter((other) => other === one).length
          if (places.taken !== having.length || having.length > most || places.waiting !== waiting.length) return false
          if (['a', 'b', 'c'].some((one) => count(one) > shareOf(most))) return false
          if (having.length < most && waiting.some((one) => count(one.who) < shareOf(most))) return false
        }
        return true
      }),
      { numRuns: 200 },
    )
  },
)
