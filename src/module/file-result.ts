import { octal } from './changes/files.ts'
import type { FileStat } from './reads/files.ts'

/** What `stat` and `find` register of a file, with the names of Ansible's `stat`. Times in seconds since the epoch. */
export function fileResult(path: string, stat: FileStat) {
  const { type, mode, owner, group, links, inode, device, ...same } = stat
  return {
    path,
    type,
    isdir: type === 'directory',
    isreg: type === 'file',
    islnk: type === 'link',
    mode: octal(mode),
    pw_name: owner,
    gr_name: group,
    nlink: links,
    inode,
    dev: device,
    ...same,
  }
}
