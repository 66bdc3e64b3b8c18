import type { Become as BecomeKeywords } from '../playbook/playbook.ts'
import type { Become } from '../session/session.ts'
import { UserError } from '../shared/errors.ts'
import type { Scope } from '../values/index.ts'

const METHODS = ['sudo', 'doas', 'su'] as const

/**
 * Whom a task runs as: its keywords, then the `ansible_become…` variables of the host that does the work. Undefined: as
 * the login user.
 */
export function becomeOf(keywords: BecomeKeywords, scope: Scope, host: Scope): Become | undefined {
  const wanted = keywords.become ? keywords.become.evaluate(scope) : variable(host, 'ansible_become')
  if (!truth(wanted, 'become')) return undefined
  const user = String(keywords.user?.evaluate(scope) ?? variable(host, 'ansible_become_user') ?? 'root')
  const method = String(keywords.method?.evaluate(scope) ?? variable(host, 'ansible_become_method') ?? 'sudo')
  if (!isMethod(method)) {
    throw new UserError({
      message: `become_method ${method} is not known`,
      place: keywords.method?.place,
      hint: `use one of ${METHODS.join(', ')}`,
    })
  }
  const password = variable(host, 'ansible_become_password') ?? variable(host, 'ansible_become_pass')
  return { method, user, password: password === undefined ? undefined : String(password) }
}

function isMethod(method: string): method is Become['method'] {
  return (METHODS as readonly string[]).includes(method)
}

function variable(scope: Scope, name: string): unknown {
  return scope.has(name) ? scope.get(name) : undefined
}

/** A keyword that must come out as a boolean. */
export function truth(value: unknown, keyword: string): boolean {
  if (value === undefined) return false
  if (typeof value === 'boolean') return value
  if (value === 'true' || value === 'false') return value === 'true'
  throw new UserError(`${keyword} must be true or false, not ${JSON.stringify(value)}`)
}
