import { staticScope } from './loader.ts'
import type { Include, Task } from './playbook.ts'

/** The name as the file has it, templates unrendered; what stands for it where there is none. */
export function writtenName(step: Pick<Task, 'name' | 'moduleName'> | Include): string {
  const { name } = step
  if (name.static) return String(name.evaluate(staticScope({})))
  const text = name.place?.file.text.slice(name.place.offset, name.place.end).replace(/^(["'])(.*)\1$/s, '$2')
  return text || ('moduleName' in step ? step.moduleName : `include_${step.what}`)
}
