/** What the systemd services of runbook's own daemons have in common: they tell when they are ready and that they are alive. */
import { unitWord } from './unit-word.ts'

export interface NotifyService {
  readonly words: readonly string[]
  /** The folder that it works in. */
  readonly folder: string
  readonly user: string | undefined
  /** Seconds before it is started again. */
  readonly restart: number
}

/** Seconds without a word after which systemd ends and restarts a daemon. */
const WATCHDOG = 60
/** Seconds to come to an end; a daemon that needs more asks for them. */
const STOP = 120

/** `%` has a meaning in every value of a unit (systemd.unit(5), "Specifiers"). */
export const unitPath = (path: string): string => path.replaceAll('%', '%%')

/** The head of [Service]. */
export function notifyService({ words, folder, user, restart }: NotifyService): string {
  return `[Service]
Type=notify
NotifyAccess=all
ExecStart=${words.map(unitWord).join(' ')}
ExecReload=/bin/kill -HUP $MAINPID
WorkingDirectory=${unitPath(folder)}
${user === undefined ? '' : `User=${user}\n`}Restart=always
RestartSec=${restart}
WatchdogSec=${WATCHDOG}
TimeoutStopSec=${STOP}
UMask=0077`
}
