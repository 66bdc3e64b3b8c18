/** A word of a unit's command line. systemd.service(5), "Command lines": quotes, backslashes, percent and dollar signs have meanings. */
export function unitWord(text: string): string {
  const safe = text.replaceAll('%', '%%').replaceAll('$', '$$$$')
  return /^[\w@%+=:,./-]+$/.test(safe) ? safe : `"${safe.replaceAll(/["\\]/g, '\\$&')}"`
}
