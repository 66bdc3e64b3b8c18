/**
 * The language: every keyword, what it takes and what it means. The parser, its messages, `runbook schema` and the
 * reference in the docs are all made from these tables.
 */
import type { KindName, Kinds } from './kinds.ts'

export interface Keyword<K extends KindName = KindName> {
  readonly kind: K
  /** One line, for people. */
  readonly doc: string
}

export type Table = Readonly<Record<string, Keyword>>

/** What a table's keywords are read into. */
export type Parsed<T extends Table> = { [K in keyof T]?: ReturnType<Kinds[T[K]['kind']]['read']> | undefined }

const is = <K extends KindName>(kind: K, doc: string): Keyword<K> => ({ kind, doc })

/** Of plays, blocks, tasks and imports. The closest wins; `environment`, `vars` and `tags` add up. */
const inherited = {
  name: is('text', 'what it is for, shown to people'),
  vars: is('vars', 'variables; those of a task win over those of its blocks, and those over the play’s'),
  environment: is('environment', 'environment variables for the commands that run'),
  become: is('flag', 'run as another user'),
  become_user: is('text', 'that user; default root'),
  become_method: is('text', 'how to become it: sudo, doas or su'),
  tags: is('tags', 'labels for --tags and --skip-tags; always and never are special'),
  no_log: is('flag', 'keep arguments and results out of everything that is shown or stored'),
  check_mode: is('flag', 'true: never change anything; false: run even under --check'),
  diff: is('flag', 'show what changes inside files'),
  timeout: is('number', 'seconds after which a task has failed'),
  ignore_errors: is('flag', 'go on after a failure'),
  ignore_unreachable: is('flag', 'go on with the next task when the host cannot be reached'),
  any_errors_fatal: is('flag', 'a failure on one host ends the play on all hosts'),
  throttle: is('number', 'at most this many hosts at once'),
  run_once: is('bool', 'run on the first host only; its result counts for all'),
  module_defaults: is('map', 'arguments that tasks get when they do not give them: module: {argument: value}'),
} satisfies Table

const conditional = {
  when: is('conditions', 'run only if these expressions are all true'),
  delegate_to: is('text', 'run on this host instead, with the variables of the play’s host'),
  delegate_facts: is('bool', 'facts that are gathered belong to the host of delegate_to'),
  notify: is('texts', 'handlers (names or topics) to run at the end of the section if this changed something'),
} satisfies Table

const looping = {
  loop: is(
    'items',
    'run once for each item of a list ({{ item }}) or entry of a map ({{ item.key }}, {{ item.value }})',
  ),
  loop_control: is('map', 'how the loop runs; see loop_control'),
} satisfies Table

export const PLAY = {
  ...inherited,
  hosts: is('texts', 'which hosts: names, groups and patterns of the inventory'),
  gather_facts: is('flag', 'read the facts of each host first; default true'),
  connection: is('text', 'how hosts are reached where the inventory does not say: ssh, openssh or local'),
  remote_user: is('text', 'whom to log in as where the inventory does not say'),
  port: is('number', 'the port of sshd where the inventory does not say'),
  vars_files: is('texts', 'files of variables, relative to the playbook; later ones win'),
  vars_prompt: is('list', 'variables to ask for before the run; see vars_prompt'),
  pre_tasks: is('list', 'tasks before the roles'),
  roles: is('list', 'roles to run, by name or as maps; see role'),
  tasks: is('list', 'what to do'),
  post_tasks: is('list', 'tasks after all others'),
  handlers: is('list', 'tasks that run when they are notified'),
  serial: is('node', 'hosts to take at a time: a number, a share ("20%") or a list of them'),
  order: is('string', 'inventory, reverse_inventory, sorted, reverse_sorted or shuffle'),
  strategy: is('string', 'free: each host at its own pace (default); linear: all hosts wait after each task'),
  max_fail_percentage: is('number', 'end the play when more than this share of the batch has failed'),
  force_handlers: is('flag', 'run notified handlers on hosts that have failed, too'),
} satisfies Table

export const BLOCK = {
  ...inherited,
  ...conditional,
  block: is('list', 'tasks that belong together'),
  rescue: is('list', 'tasks that run when one of the block’s has failed'),
  always: is('list', 'tasks that run in the end in any case'),
} satisfies Table

export const TASK = {
  ...inherited,
  ...conditional,
  ...looping,
  args: is('map', 'more arguments of the module, beside its one-string form'),
  register: is('identifier', 'variable that gets the result'),
  changed_when: is('conditions', 'says whether the result is a change'),
  failed_when: is('conditions', 'says whether the result is a failure'),
  until: is('conditions', 'repeat until these are true'),
  retries: is('number', 'how often to repeat; default 3 with until'),
  delay: is('number', 'seconds between the tries; default 5'),
  detach: is('bool', 'let a command go on when the connection, or this run, ends; --resume takes it up again'),
  async: is('number', 'as detach: true, for at most so many seconds'),
  poll: is('number', 'seconds between looks at a detached command, default 5; 0: do not wait, see async_status'),
} satisfies Table

export const HANDLER = {
  ...TASK,
  listen: is('strings', 'topics that notify this handler beside its name'),
} satisfies Table

export const LOOP_CONTROL = {
  loop_var: is('identifier', 'name of the item; default item'),
  index_var: is('identifier', 'variable that counts the items from 0'),
  label: is('text', 'what to show of an item'),
  pause: is('number', 'seconds between items'),
  extended: is('bool', 'gives loop, in CEL ansible_loop: index, index0, first, last, length, previtem, nextitem'),
  break_when: is('conditions', 'end the loop after an item when these are true'),
} satisfies Table

/** `import_tasks`, `import_role`: expanded when the playbook is loaded; what is written on them goes to every task inside. */
export const IMPORT = { ...inherited, ...conditional } satisfies Table

/** `include_tasks`, `include_role`: `when` and `loop` are evaluated once, the rest goes to every task inside. */
export const INCLUDE = { ...inherited, ...conditional, ...looping } satisfies Table

/** An entry of `roles:` or of a role's dependencies. */
export const ROLE = {
  ...inherited,
  ...conditional,
  role: is('string', 'name of the role or path of its folder'),
} satisfies Table

export const VARS_PROMPT = {
  name: is('identifier', 'variable that gets the answer'),
  prompt: is('string', 'the question; default: the name'),
  default: is('text', 'the answer when nothing is typed'),
  private: is('bool', 'do not show what is typed; default true'),
  confirm: is('bool', 'ask twice'),
} satisfies Table

/** Arguments of `import_tasks`, `include_tasks` as a map. */
export const TASKS_ARGS = {
  file: is('text', 'file of tasks, relative to the file it is named in'),
  apply: is('map', 'keywords for every task inside (include_tasks only)'),
} satisfies Table

/** Arguments of `import_role`, `include_role`. */
export const ROLE_ARGS = {
  name: is('text', 'name of the role or path of its folder'),
  tasks_from: is('text', 'file in tasks/ instead of main.yml'),
  handlers_from: is('string', 'file in handlers/ instead of main.yml'),
  vars_from: is('string', 'file in vars/ instead of main.yml'),
  defaults_from: is('string', 'file in defaults/ instead of main.yml'),
  apply: is('map', 'keywords for every task inside (include_role only)'),
} satisfies Table

/** Steps of a list of tasks that are not modules. */
export const STEP_WORDS = ['import_tasks', 'include_tasks', 'import_role', 'include_role'] as const
export type StepWord = (typeof STEP_WORDS)[number]

/** All tables by the name that messages and docs give them. */
export const LEVELS = {
  play: PLAY,
  block: BLOCK,
  task: TASK,
  handler: HANDLER,
  loop_control: LOOP_CONTROL,
  import: IMPORT,
  include: INCLUDE,
  role: ROLE,
  vars_prompt: VARS_PROMPT,
} as const satisfies Record<string, Table>

/** Ansible's keywords that are not here, and what to do instead. */
export const INSTEAD: Readonly<Record<string, string>> = {
  become_flags: 'become uses fixed, safe flags',
  become_exe: 'use become_method: sudo, doas or su',
  collections: 'modules are found by their short names',
  debugger: 'use debug tasks, and runbook plan',
  gather_subset: 'all facts come with one script; use gather_facts: false to do without',
  gather_timeout: 'reading facts has a time limit of its own',
  fact_path: 'read files of your own with slurp',
  include: 'use import_tasks or include_tasks',
  include_vars: 'use vars_files, or vars on a block',
  sudo: 'use become: true',
  sudo_user: 'use become_user',
  first_available_file: 'use when, or a template in src',
  user: 'use remote_user',
}

const PACKAGE = 'use package: {name: curl}; it knows apt, dnf and yum'

/** Ansible's modules that are not here under that name, and what to do instead. */
export const MODULE_INSTEAD: Readonly<Record<string, string>> = {
  apt: PACKAGE,
  dnf: PACKAGE,
  dnf5: PACKAGE,
  yum: PACKAGE,
  dpkg_selections: 'use package: {name: kubelet, hold: true}',
  apt_key: 'use apt_repository, which keeps the key of each repository',
  systemd: 'use service for a unit that is there, systemd_unit for one that you write',
  systemd_service: 'use service for a unit that is there, systemd_unit for one that you write',
  sysvinit: 'use service',
  setup: 'use facts, or gather_facts: true on the play',
  gather_facts: 'use facts, or gather_facts: true on the play',
  ping: 'use wait_for_connection',
  raw: 'use shell: a host needs no Python for it',
  expect: 'use command with stdin',
  synchronize: 'use copy with a folder as src, or unarchive',
  assemble: 'use template',
  tempfile: 'use command: mktemp -d',
  git: 'use command: git … with creates',
  pip: 'use command: pip … with creates',
  firewalld: 'use command: firewall-cmd …, or template and a handler',
  ufw: 'use command: ufw …, or template and a handler',
  iptables: 'use template and a handler',
  rpm_key: 'use yum_repository with gpgkey',
  known_hosts: 'use lineinfile on /etc/ssh/ssh_known_hosts',
  add_host: 'write the host into the inventory: all that a run touches is known before it begins',
  group_by: 'use a constructed inventory (keyed_groups), or when',
}

/** Ansible's loops, and the form that replaces them. */
export function loopInstead(keyword: string): string | undefined {
  const name = /^with_(\w+)$/.exec(keyword)?.[1]
  if (name === undefined) return undefined
  const forms: Record<string, string> = {
    items: 'loop: [a, b] or loop: "{{ list }}"',
    list: 'loop: [a, b] or loop: "{{ list }}"',
    dict: 'loop: "{{ map }}" (the items are {key, value})',
    indexed_items: 'loop: "{{ list }}" and loop_control: {index_var: i}',
    sequence: 'loop: [1, 2, 3], or loop: !cel with a list',
    together: 'loop over a list of maps that hold what belongs together',
    nested: 'loop over one list, with include_tasks for the other',
    subelements: 'loop over the outer list, with include_tasks for the inner',
    fileglob: 'loop over a list of file names',
    first_found: 'a template in src, or when',
  }
  return `write ${forms[name] ?? 'loop: with a list or a map'}`
}
