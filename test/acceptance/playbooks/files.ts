/** What the examples of docs/playbooks.md stand beside: roles, files of tasks, variables. */
export const FILES: Readonly<Record<string, string>> = {
  'vars/site.yml': 'site: here\n',
  'tasks/more.yml': `
- { shell: 'echo \${APPLIED:-none}', register: more_env }
- { set_fact: { more: "{{ who }}" } }
`,
  'other.yml': '- { hosts: n1, gather_facts: false, tasks: [{ set_fact: { imported: "{{ from }}" } }] }\n',
  'roles/web/defaults/main.yml': 'site_name: default\nflavour: plain\n',
  'roles/web/defaults/other.yml': 'flavour: other default\n',
  'roles/web/vars/main.yml': 'level: from vars\n',
  'roles/web/vars/other.yml': 'level: other vars\n',
  'roles/web/tasks/main.yml': '- { set_fact: { role_said: "{{ site_name }}" } }\n',
  'roles/web/tasks/extra.yml': `
- { shell: 'echo \${APPLIED:-none}', register: extra_env }
- { set_fact: { extra: "{{ flavour }}, {{ level }}" } }
- { name: "Include {{ flavour }}", include_tasks: "{{ flavour }}.yml", when: flavour == "plain" }
`,
  'roles/web/tasks/plain.yml': '- { set_fact: { plainly: true } }\n',
  'roles/web/tasks/notifying.yml': '- { command: "true", notify: Web handler }\n',
  'roles/web/handlers/main.yml': '- { name: Web handler, command: touch /srv/web-main }\n',
  'roles/web/handlers/other.yml': '- { name: Web handler, command: touch /srv/web-other }\n',
  'roles/web/tasks/sources.yml': `
- { copy: { src: web.txt, dest: /srv/web.txt } }
- { template: { src: web.hbs, dest: /srv/web.hbs } }
`,
  'roles/web/files/web.txt': 'of the role\n',
  'roles/web/templates/web.hbs': '{{ level }}\n',
  'roles/base/tasks/main.yml': '- { set_fact: { base_ran: true } }\n',
  'roles/dependent/meta/main.yml': 'dependencies: [base]\n',
  'roles/dependent/tasks/main.yml': '- { assert: { that: base_ran } }\n',
  'roles/strict/meta/argument_specs.yml':
    'argument_specs: { main: { options: { port: { type: int, required: true } } } }\n',
  'roles/strict/tasks/main.yml': '- { debug: { msg: "{{ port }}" } }\n',
}
