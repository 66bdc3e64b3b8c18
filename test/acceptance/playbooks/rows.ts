/** What each example of the table in docs/playbooks.md must come to. */
import type { Test } from 'tap'
import type { Ended, TaskResult } from '../support.ts'

/** A `task_result` with what the table's tests look at. */
export type Result = TaskResult & {
  readonly play_id: string
  /** ISO 8601, the end of the task. */
  readonly at: string
  readonly elapsed_ms: number
  readonly items?: readonly { readonly label: string }[]
}

export interface Row {
  /** Tasks (YAML in one line) in front of the example, when that is a task. */
  readonly before?: readonly string[]
  /** Tasks behind it on n1; those of an example that is a play get a play of their own. */
  readonly after?: readonly string[]
  /** Looks at the results of the example's playbook. */
  readonly results?: (t: Test, results: readonly Result[], ended: Ended) => void
  /** Runs by itself, with these arguments: it fails, or depends on the command line. */
  readonly alone?: { readonly args?: readonly string[]; readonly code: number }
  /** Answers to type at a terminal, each when the text in front of it has been shown; runs by itself. */
  readonly typed?: readonly (readonly [prompt: string, answer: string])[]
}

const that = (...conditions: string[]): string => `{assert: {that: [${conditions.map(quoted).join(', ')}]}}`
const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`
const said = (text: string): Row => ({ after: [that(`said.stdout == "${text}"`)] })
const items = (...texts: string[]): Row => ({
  after: [that(`said.results.map(r, r.stdout) == ${JSON.stringify(texts)}`)],
})
const exists = (path: string): string => `{command: test -e ${path}}`
const missing = (path: string): string => `{command: test ! -e ${path}}`
const of = (results: readonly Result[], host: string): Result[] => results.filter((r) => r.host === host)
const endOf = (result: Result): number => Date.parse(result.at)

export const ROWS: Readonly<Record<string, Row>> = {
  name: { results: (t, results) => t.match(results[0], { task: 'Say hello to n1' }) },
  vars: { after: [that('said.msg == 6443 || said.msg == "6443"')] },
  environment: said('C.UTF-8'),
  become: said('daemon'),
  become_user: said('nobody'),
  become_method: said('daemon'),
  tags: {
    alone: { args: ['--tags', 'web'], code: 0 },
    results: (t, results) => t.match(results[0], { status: 'ok', msg: 'only with --tags web' }),
  },
  no_log: {
    results: (t, results, ended) => {
      t.equal(results[0]!.status, 'changed')
      t.notMatch(ended.stdout + ended.stderr, /correct-horse/)
    },
  },
  check_mode: { after: [missing('/srv/never')], results: (t, results) => t.equal(results[0]!.status, 'changed') },
  diff: {
    results: (t, results) => t.match(results[0]!.changes[0], { diff: { kind: 'text' } }),
  },
  timeout: { after: [that('late.failed')], results: (t, results) => t.ok(results[0]!.elapsed_ms < 30_000) },
  ignore_errors: { after: [that('result.failed', 'result.rc == 1')] },
  ignore_unreachable: {
    results: (t, results) =>
      t.same(
        of(results, 'gone').map((r) => r.status),
        ['ignored', 'ok'],
      ),
  },
  any_errors_fatal: {
    alone: { code: 2 },
    results: (t, results) => t.notOk(results.some(({ msg }) => msg === 'nobody comes here')),
  },
  throttle: {
    results: (t, results) => {
      const [one, two] = results.filter(({ module }) => module === 'command').map(endOf)
      t.ok(two! - one! >= 250, 'one after the other')
    },
  },
  run_once: { after: [that('hostvars.n2.first.stdout == "n1"')] },
  module_defaults: { after: ['{shell: stat -c %a /srv/defaults, register: said}', that('said.stdout == "700"')] },
  when: {
    results: (t, results) => t.match(results[0], { status: 'ok', msg: 'here' }),
  },
  delegate_to: { after: [that('other.stdout == "n2"')] },
  delegate_facts: { after: [that('hostvars.n2.facts.hostname == "n2"', '!defined(facts)')] },
  notify: { after: [exists('/srv/reloaded')] },
  loop: items('a=1', 'b=2'),
  loop_control: items('a', 'b'),
  'loop_control.loop_var': items('a', 'b'),
  'loop_control.index_var': items('0', '1'),
  'loop_control.label': { results: (t, results) => t.match(results[0]!.items, [{ label: '7' }]) },
  'loop_control.pause': {
    after: [that('double(said.results[1].stdout) - double(said.results[0].stdout) >= 1.0')],
  },
  'loop_control.extended': items('1 of 2', '2 of 2'),
  'loop_control.break_when': items('1', '2'),
  args: said('/srv'),
  register: { after: [that('name_of_host.stdout == "n1"', '!name_of_host.changed')] },
  changed_when: { after: [that('!said.changed')] },
  failed_when: { after: [that('result.rc == 3', '!result.failed')] },
  until: { after: [that('int(lines.stdout) == 3')] },
  retries: { results: (t, results) => t.match(results[0]!.msg, /gave up after 2 tries/) },
  delay: { results: (t, results) => t.match(results[0]!.msg, /gave up after 3 tries/) },
  detach: { after: [that('said.stdout_lines == ["far", "away"]')] },
  async: { after: [that('result.msg.contains("time limit of 1 s")')] },
  poll: {
    after: [
      '{async_status: {jid: "{{ job.ansible_job_id }}"}, register: later, until: later.finished, delay: 0.2, retries: 100}',
      that('!job.finished', 'later.stdout == "later"'),
    ],
  },
  action: said('n1'),
  local_action: { after: [that('said.msg == "from n1"')] },
  listen: { after: [exists('/srv/listened')] },
  block: { after: [exists('/srv/block')] },
  rescue: { after: [that('broken == "Break"')] },
  always: { after: [exists('/srv/always')] },
  hosts: {
    after: [exists('/srv/hosts')],
    results: (t, results) => t.equal(of(results, 'n2').length, 0),
  },
  gather_facts: { after: [that('seen_os == "debian"')] },
  connection: { after: [that('said.stdout == "n1"')] },
  remote_user: { after: [that('hostvars.plain.said.stdout == "ops"')] },
  port: { after: [that('hostvars.plain.said.stdout == "root"')] },
  vars_files: { after: [that('from_file == "here"')] },
  vars_prompt: { after: [that('got == "none"')] },
  'vars_prompt.name': { alone: { args: ['-e', 'release=12'], code: 0 }, after: [that('got == "12"')] },
  'vars_prompt.prompt': { typed: [['Which release?', '13']], after: [that('got == "13"')] },
  'vars_prompt.default': { after: [that('got == "42"')] },
  'vars_prompt.private': { typed: [['release', '14']], after: [that('got == "14"')] },
  'vars_prompt.confirm': {
    typed: [
      ['release', '15'],
      ['(again)', '16'],
      ['release', '17'],
      ['(again)', '17'],
    ],
    after: [that('got == "17"')],
  },
  pre_tasks: { after: [that('order == ["pre", "tasks"]', 'role_said == "pre"')] },
  roles: { after: [that('role_said == "default"')] },
  tasks: { after: [exists('/srv/tasks')] },
  post_tasks: { after: [that('order == ["tasks", "post"]')] },
  handlers: {
    after: ['{shell: cat /srv/handlers, register: said}', that('said.stdout_lines == ["first", "second"]')],
  },
  serial: { after: [that('batch == ["n1"]', 'hostvars.n2.batch == ["n2"]')] },
  order: {
    results: (t, results) =>
      t.same(
        results.filter(({ module }) => module === 'command').map(({ host }) => host),
        ['n2', 'n1'],
      ),
  },
  strategy: {
    results: (t, results) => {
      const slow = results.find(({ module, host }) => module === 'shell' && host === 'n1')!
      const fast = results.find(({ module, host }) => module === 'command' && host === 'n2')!
      t.ok(endOf(fast) >= endOf(slow), 'n2 waited for n1')
    },
  },
  max_fail_percentage: {
    alone: { code: 2 },
    results: (t, results) => t.notOk(results.some(({ msg }) => msg === 'nobody comes here')),
  },
  force_handlers: {
    alone: { code: 2 },
    results: (t, results) => t.match(results.at(-1), { task: 'Tidy', handler: true, status: 'changed' }),
  },
  role: { after: [that('role_said == "by role"')] },
  import_playbook: { after: [that('imported == "import"')] },
  import_tasks: { after: [that('more == "import"')] },
  import_role: { after: [that('role_said == "import_role"')] },
  include_tasks: { after: [that('more == "b"')] },
  include_role: { after: [that('role_said == "include_role"')] },
  'import_tasks.file': { after: [that('more == "file"', 'more_env.stdout == "none"')] },
  'import_tasks.apply': { after: [that('more == "apply"', 'more_env.stdout == "yes"')] },
  'import_role.name': { after: [that('role_said == "name"')] },
  'import_role.tasks_from': { after: [that('extra == "plain, from vars"')] },
  'import_role.handlers_from': {
    after: ['{meta: flush_handlers}', exists('/srv/web-other'), missing('/srv/web-main')],
  },
  'import_role.vars_from': { after: [that('extra == "plain, other vars"')] },
  'import_role.defaults_from': { after: [that('extra == "other default, from vars"')] },
  'import_role.apply': { after: [that('extra_env.stdout == "role"')] },
  'meta: flush_handlers': {},
  'meta: end_host': {
    after: [missing('/srv/end_host')],
    results: (t, results) => t.ok(of(results, 'n2').some(({ module }) => module === 'command')),
  },
  'meta: end_batch': {
    after: [missing('/srv/end_batch')],
    results: (t, results) => t.ok(of(results, 'n2').some(({ module }) => module === 'command')),
  },
  'meta: end_play': {
    after: [missing('/srv/end_play')],
    results: (t, results) => t.same(of(results, 'n2'), []),
  },
  'meta: clear_facts': { after: [that('!known')] },
  'meta: reset_connection': { after: [that('one.stdout != two.stdout')] },
  'meta: noop': {},
  'role: defaults': { after: [that('extra == "plain, given"', 'plainly')] },
  'role: vars': { before: ['{set_fact: {nothing: 1}}'], after: [that('extra == "plain, from vars"')] },
  'role: handlers': { after: ['{meta: flush_handlers}', exists('/srv/web-main')] },
  'role: files, templates': {
    after: ['{shell: cat /srv/web.txt /srv/web.hbs, register: said}', that('said.stdout == "of the role\\nfrom vars"')],
  },
  'role: dependencies': { after: [that('base_ran')] },
  'role: argument_specs': {
    alone: { code: 3 },
    results: (t, results, ended) => {
      t.same(results, [])
      t.match(ended.stderr, /port/)
    },
  },
  '{{ … }}': { after: [that('copy_of_list == [1, 2]', 'text == "2 items"')] },
  '!cel': { after: [that('doubled == [2, 4]')] },
  '!unsafe': { after: [that('raw == "{" + "{ not a template }" + "}"')] },
  hostvars: { after: [that('others == "n2!"')] },
  groups: { after: [that('"n2" in members')] },
  group_names: { after: [that('"web" in member_of')] },
  inventory_hostname: { after: [that('me == "n1"')] },
  play_hosts: { after: [that('with_me == ["n1"]')] },
  ansible_check_mode: { after: [that('!dry')] },
  playbook_dir: { after: [that('where == playbook_dir')] },
  runbook_run: { after: [that('run_id == runbook_run', 'run_id != ""')] },
}
