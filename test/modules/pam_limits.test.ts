import limits from '../../modules/pam_limits.ts'
import type { Module } from '../../src/module/index.ts'
import { type Row, table } from './table.ts'

const PATH = '/etc/security/limits.conf'
const file = (text: string) => ({
  file: { exists: true, text, stat: { type: 'file', mode: 0o644, uid: 0, gid: 0, owner: 'root', group: 'root' } },
})
const files = { domain: '*', limit_type: 'soft', limit_item: 'nofile' }

/** What the file is to hold; the same text: nothing to do. */
function row(name: string, args: object, before: string, after: string): Row {
  return {
    name,
    args: { ...files, ...args },
    state: file(before),
    changes: before === after ? [] : [`write ${PATH}`],
    check: ([change]) => {
      const made = change?.diff?.kind === 'text' ? change.diff.after : before
      if (made !== after) throw new Error(JSON.stringify(made))
    },
  }
}

table(limits as Module, [
  row('a new line', { value: 5 }, '# a\n\n', '# a\n\n*\tsoft\tnofile\t5\n'),
  row('a file without a newline at its end', { value: 5 }, '# a', '# a\n*\tsoft\tnofile\t5\n'),
  row('as wanted', { value: 5 }, ' *  soft nofile\t5 # why', ' *  soft nofile\t5 # why'),
  row('another value', { value: '6' }, 'a\n* soft nofile 5 # why\nb\n', 'a\n*\tsoft\tnofile\t6\t# why\nb\n'),
  row('another comment', { value: 6, comment: 'new' }, '* soft nofile 5 # why\n', '*\tsoft\tnofile\t6\t#new\n'),
  row(
    'every line of it',
    { value: 6 },
    '* soft nofile 5\n* soft nofile 7\n',
    '*\tsoft\tnofile\t6\n*\tsoft\tnofile\t6\n',
  ),
  row('a line that is commented out', { value: 5 }, '#* soft nofile 5\n', '#* soft nofile 5\n*\tsoft\tnofile\t5\n'),
  row(
    'others',
    { value: 5 },
    '* hard nofile 5\n@a soft nofile 5\n',
    '* hard nofile 5\n@a soft nofile 5\n*\tsoft\tnofile\t5\n',
  ),
  row('a higher one stays', { value: 5, use_max: true }, '* soft nofile 9\n', '* soft nofile 9\n'),
  row('no limit stays', { value: 5, use_max: true }, '* soft nofile infinity\n', '* soft nofile infinity\n'),
  row('a lower one goes', { value: 'unlimited', use_max: true }, '* soft nofile 9\n', '*\tsoft\tnofile\tunlimited\n'),
  row('a lower one stays', { value: -1, use_min: true }, '* soft nofile 9\n', '* soft nofile 9\n'),
  row('no limit goes', { value: 5, use_min: true }, '* soft nofile -1\n', '*\tsoft\tnofile\t5\n'),
  row(
    '-1 is a number for nice',
    { limit_item: 'nice', value: -5, use_max: true },
    '* soft nice -1\n',
    '* soft nice -1\n',
  ),
  {
    name: 'a new file',
    args: { ...files, value: 5, dest: '/etc/security/limits.d/90.conf' },
    state: { file: { exists: false, text: '', stat: undefined } },
    changes: ['create /etc/security/limits.d/90.conf (0644)'],
  },
  { name: 'both', args: { ...files, value: 5, use_max: true, use_min: true }, state: {}, invalid: /contradict/ },
  { name: 'a value that is none', args: { ...files, value: 'many' }, state: {}, invalid: /whole number or unlimited/ },
  { name: 'too nice', args: { ...files, limit_item: 'nice', value: 20 }, state: {}, invalid: /from -20 to 19/ },
  { name: 'less than nothing', args: { ...files, value: -2 }, state: {}, invalid: /not negative/ },
  { name: 'two lines', args: { ...files, domain: 'a\nb', value: 1 }, state: {}, invalid: /no blanks/ },
])
