import { lstatSync, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { UserError } from './errors.ts'

/** S_ISVTX (inode(7)): in such a folder everybody may make files, and nobody replace those of others. /tmp is one. */
const STICKY = 0o1000

/**
 * Refuses what nobody named and is read because it lies there, where it may lie there for just that: in a folder such as /tmp,
 * made by another user. What belongs to root, or to the folder's owner, who may do all there anyway, is taken; what does not
 * exist too. Throws UserError; `mend` says how the user names it, or something else.
 */
export function refusePlanted(path: string, mend: string): void {
  const me = process.getuid?.()
  const folder = seen(() => statSync(dirname(path)))
  if (me === undefined || !folder || (folder.mode & STICKY) === 0) return
  const isStranger = (stat: Stats | undefined): stat is Stats => !!stat && ![me, 0, folder.uid].includes(stat.uid)
  // Who made a link comes first: the kernel itself may not follow that of another user there (fs.protected_symlinks).
  const own = seen(() => lstatSync(path))
  const stranger = isStranger(own) ? own : seen(() => statSync(path))
  if (!isStranger(stranger)) return
  const message = `${path} belongs to another user (${stranger.uid}), in a folder where everybody may put files: it is not used`
  throw new UserError({ message, hint: `remove it, or ${mend}` })
}

/** Undefined for what is not there, or cannot be looked at: then it cannot be read either, and who tries says why. */
function seen(look: () => Stats): Stats | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
