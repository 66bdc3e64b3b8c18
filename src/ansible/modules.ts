/**
 * Ansible's modules: which arguments there are, what they are called here, and what must be said that Ansible means when
 * nothing is said. An argument that is not in the table is refused.
 *
 * `name>ours`: renamed. Behind a colon: m mode, b boolean, n whole number, l list, x means nothing here.
 */
import type { Call } from './call.ts'
import * as packages from './package-rules.ts'
import * as rule from './rules.ts'

export interface ModuleRule {
  /** Our module; absent: the same name. */
  readonly to?: string
  readonly args: string
  /** What differs beyond names. Throws Refused. */
  readonly fix?: (call: Call) => void
}

const OWNER = 'owner group mode:m'
const NO_ATTRIBUTES = 'unsafe_writes:x follow:x'
const EDITED = `backup:b validate ${OWNER} ${NO_ATTRIBUTES}`
const COMMAND = 'cmd argv chdir creates removes stdin stdin_add_newline:b strip_empty_ends:b warn:x executable'

export const MODULES: Readonly<Record<string, ModuleRule>> = {
  apt: {
    to: 'package',
    args:
      'name:l pkg>name package>name state update_cache:b update-cache>update_cache cache_valid_time:n install_recommends:b purge:b autoremove:b ' +
      'allow_downgrade:b lock_timeout:n upgrade force:b allow_unauthenticated:b allow_change_held_packages:b autoclean:b clean:b fail_on_autoremove:x update_cache_retries:x update_cache_retry_max_delay:x force_apt_get:x ' +
      'dpkg_options',
    fix: packages.apt,
  },
  package: {
    args: 'name:l pkg>name state update_cache:b cache_valid_time:n use:x install_recommends:b allow_downgrade:b purge:b autoremove:b lock_timeout:n force:b allow_unauthenticated:b allow_change_held_packages:b',
    fix: packages.package_,
  },
  dnf: {
    to: 'package',
    args: 'name:l pkg>name state update_cache:b install_weak_deps>install_recommends:b allow_downgrade:b autoremove:b lock_timeout:n',
    fix: packages.package_,
  },
  dpkg_selections: { to: 'package', args: 'name selection', fix: packages.dpkgSelections },
  apt_repository: {
    args: 'repo state filename mode:m update_cache:b install_python_apt:x update_cache_retries:x update_cache_retry_max_delay:x validate_certs:x codename:x',
    fix: packages.aptRepository,
  },
  apt_key: { to: 'get_url', args: 'url data file keyring id keyserver state validate_certs:b', fix: packages.aptKey },
  deb822_repository: {
    to: 'apt_repository',
    args: 'name types uris suites components architectures enabled:b signed_by state trusted:b install_python_debian:x',
    fix: packages.deb822,
  },
  service: { args: 'name state enabled:b use:x daemon_reload:b', fix: rule.service },
  systemd: {
    to: 'service',
    args: 'name service>name unit>name state enabled:b masked:b daemon_reload:b daemon-reload>daemon_reload:b scope force:x',
    fix: rule.service,
  },
  sysvinit: { to: 'service', args: 'name state enabled:b', fix: rule.service },
  file: {
    args: `path dest>path name>path state src recurse:b force:b access_time modification_time follow:x unsafe_writes:x ${OWNER}`,
    fix: rule.file,
  },
  copy: {
    args: `src dest content remote_src:b force:b directory_mode:m checksum:x decrypt:x local_follow:x ${EDITED}`,
    fix: rule.copy,
  },
  template: {
    args: `src dest force:b trim_blocks:x lstrip_blocks:x output_encoding:x newline_sequence ${EDITED}`,
    fix: rule.template,
  },
  lineinfile: {
    args: `path dest>path destfile>path name>path line value>line regexp regex>regexp search_string state backrefs:b insertafter insertbefore create:b firstmatch:b ${EDITED}`,
    fix: rule.lineinfile,
  },
  replace: { args: `path dest>path destfile>path name>path regexp replace ${EDITED}`, fix: rule.lineinfile },
  blockinfile: {
    args: `path dest>path destfile>path name>path block content>block state marker marker_begin marker_end insertafter insertbefore create:b ${EDITED}`,
    fix: rule.blockinfile,
  },
  sysctl: {
    args: 'name key>name value val>value state sysctl_file reload:b sysctl_set:b ignoreerrors:b',
    fix: rule.sysctl,
  },
  modprobe: { args: 'name params state persistent', fix: rule.modprobe },
  mount: { args: 'path name>path src fstype opts dump passno boot:b state fstab backup:b', fix: rule.mount },
  hostname: { args: 'name use:x' },
  timezone: { args: 'name' },
  group: { args: 'name state gid:n system:b local:x' },
  user: {
    args: 'name user>name state uid:n group groups append:b comment home shell create_home:b createhome>create_home:b move_home:b system:b password update_password password_lock:b password_expire_min:n password_expire_max:n password_expire_warn:n password_expire_account_disable:n remove:b force:b local:x',
    fix: rule.user,
  },
  authorized_key: {
    args: 'user key state exclusive:b key_options comment path manage_dir:b follow:x',
    fix: rule.authorizedKey,
  },
  cron: {
    args: 'name job state minute hour day month weekday special_time user cron_file disabled:b env:b value backup:b',
    fix: rule.cron,
  },
  get_url: {
    args: `url dest checksum force:b headers url_username username>url_username url_password password>url_password timeout:n validate_certs:b backup:b force_basic_auth:x use_proxy:x http_agent:x tmp_dest:x ${OWNER} ${NO_ATTRIBUTES}`,
    fix: rule.getUrl,
  },
  unarchive: {
    args: `src dest remote_src:b copy creates include exclude extra_opts owner group mode:m`,
    fix: rule.unarchive,
  },
  uri: {
    args: 'url method headers body body_format status_code return_content:b follow_redirects url_username user>url_username url_password password>url_password timeout:n validate_certs:b ca_path force_basic_auth:x use_proxy:x http_agent:x',
    fix: rule.uri,
  },
  command: { args: `${COMMAND} expand_argument_vars:b`, fix: rule.command },
  shell: { args: COMMAND },
  raw: { to: 'shell', args: 'cmd executable' },
  script: { args: 'cmd chdir creates removes executable' },
  debug: { args: 'msg var verbosity:n', fix: rule.message },
  fail: { args: 'msg', fix: rule.message },
  assert: { args: 'that fail_msg msg success_msg quiet:b', fix: rule.message },
  set_fact: { args: '*', fix: rule.setFact },
  pause: { args: 'prompt seconds:n minutes:n echo:b' },
  wait_for: {
    args: 'host port:n path state delay:n sleep:n timeout:n search_regex msg connect_timeout:x',
    fix: rule.waitFor,
  },
  wait_for_connection: { args: 'delay:n sleep:n connect_timeout:n timeout:n' },
  reboot: {
    args: 'reboot_timeout:n connect_timeout:n pre_reboot_delay:n post_reboot_delay:n reboot_command test_command msg boot_time_command:x search_paths:x',
  },
  stat: {
    args: 'path dest>path name>path follow:b get_checksum:b get_md5:x get_mime:x get_attributes:x checksum_algorithm:x',
    fix: rule.stat,
  },
  slurp: { args: 'src path>src' },
  fetch: { args: 'src dest flat:b fail_on_missing:b validate_checksum:x' },
  find: {
    args: 'paths path>paths patterns pattern>patterns excludes exclude>excludes file_type recurse:b depth:n hidden:b age size use_regex:b contains get_checksum:x',
    fix: rule.find,
  },
  setup: { to: 'facts', args: 'gather_subset:x filter:x gather_timeout:x', fix: rule.setup },
  gather_facts: { to: 'facts', args: 'parallel:x' },
  ping: { to: 'command', args: 'data:x', fix: rule.ping },
  meta: { args: 'action', fix: rule.meta },
  ini_file: {
    args: `path dest>path section section_has_values option value values state exclusive:b no_extra_spaces:b ignore_spaces:b allow_no_value:b modify_inactive_option:b create:b backup:b ${OWNER} ${NO_ATTRIBUTES}`,
    fix: rule.iniFile,
  },
  yum_repository: {
    args: `name state description file reposdir baseurl metalink mirrorlist enabled:b gpgcheck:b repo_gpgcheck:b gpgkey priority cost exclude includepkgs module_hotfixes:b enablegroups:b skip_if_unavailable:b metadata_expire bandwidth throttle ip_resolve retries timeout proxy proxy_username proxy_password username password sslverify:b sslcacert validate_certs>sslverify:b sslclientcert client_cert>sslclientcert sslclientkey client_key>sslclientkey ${OWNER} ${NO_ATTRIBUTES}`,
  },
  package_facts: { args: 'manager strategy:x', fix: packages.packageFacts },
  service_facts: { args: '' },
  ufw: {
    args:
      'state default policy>default direction logging rule delete:b route:b interface if>interface interface_in if_in>interface_in ' +
      'interface_out if_out>interface_out from_ip from>from_ip src>from_ip from_port to_ip to>to_ip dest>to_ip to_port ' +
      'port>to_port proto protocol>proto name app>name log:b comment insert insert_relative_to',
    fix: rule.ufw,
  },
  firewalld: {
    args:
      'zone state permanent:b immediate:b offline:b timeout:n service port protocol source interface masquerade:b forward:b ' +
      'rich_rule icmp_block icmp_block_inversion:b port_forward target',
  },
  iptables: {
    args:
      'chain table state action rule_num ip_version protocol source destination match:l tcp_flags jump gateway log_prefix log_level ' +
      'to_destination destination_ports:l to_source goto in_interface out_interface source_port destination_port to_ports ' +
      'set_dscp_mark set_dscp_mark_class syn ctstate:l src_range dst_range match_set match_set_flags limit limit_burst uid_owner ' +
      'gid_owner reject_with icmp_type comment policy flush:b chain_management:b wait numeric:x',
    fix: rule.iptables,
  },
  pam_limits: { args: 'domain limit_type limit_item value use_max:b use_min:b comment dest backup:b' },
  selinux: { args: 'state policy configfile conf>configfile file>configfile' },
  alternatives: { args: 'name path link priority:n state family:x subcommands:x' },
  getent: { args: 'database key service split fail_key:b' },
}

/** Other names of the same modules. */
const ALIASES: Readonly<Record<string, string>> = {
  yum: 'dnf',
  dnf5: 'dnf',
  systemd_service: 'systemd',
}

/** Collections whose modules are meant by their short names. */
const COLLECTIONS = /^(ansible\.(builtin|legacy|posix|utils)|community\.general|kubernetes\.core)\./

/** Ansible's short name for a module. */
export function shortModule(name: string): string {
  const short = name.replace(COLLECTIONS, '')
  return Object.hasOwn(ALIASES, short) ? ALIASES[short]! : short
}

/** Modules that we cannot replace, and what to write instead. */
export const INSTEAD: Readonly<Record<string, string>> = {
  rpm_key: 'use command: rpm --import FILE, with creates or a condition',
  add_host: 'use the inventory',
  group_by: 'use the inventory, or a condition on facts',
  pip: 'use command: pip … with creates',
  git: 'use command: git … with creates',
  tempfile: 'use command: mktemp -d, with register',
  async_status: 'use timeout on the task that takes long',
  kernel_blacklist: 'use copy to /etc/modprobe.d',
  synchronize: 'use copy with a folder, or unarchive',
  k8s: 'use k8s_manifest',
  helm: 'use k8s_manifest with what helm template prints',
}
