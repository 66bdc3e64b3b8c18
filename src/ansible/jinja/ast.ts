/** Jinja2's expressions and templates, as far as playbooks use them (jinja2/nodes.py names them the same). */

export type Expr =
  | { readonly op: 'const'; readonly value: string | number | boolean | null; readonly float?: boolean }
  | { readonly op: 'name'; readonly name: string }
  | { readonly op: 'attr'; readonly of: Expr; readonly name: string }
  | { readonly op: 'item'; readonly of: Expr; readonly key: Expr }
  | { readonly op: 'slice'; readonly of: Expr; readonly from: Expr | undefined; readonly to: Expr | undefined }
  | { readonly op: 'call'; readonly of: Expr; readonly args: Args }
  | { readonly op: 'filter'; readonly of: Expr; readonly name: string; readonly args: Args }
  | { readonly op: 'test'; readonly of: Expr; readonly name: string; readonly args: Args; readonly negated: boolean }
  | { readonly op: 'unary'; readonly sign: '-' | '+' | 'not'; readonly of: Expr }
  | { readonly op: 'binary'; readonly sign: BinarySign; readonly left: Expr; readonly right: Expr }
  | { readonly op: 'compare'; readonly first: Expr; readonly rest: readonly { sign: CompareSign; right: Expr }[] }
  | { readonly op: 'concat'; readonly parts: readonly Expr[] }
  | { readonly op: 'if'; readonly test: Expr; readonly yes: Expr; readonly no: Expr | undefined }
  | { readonly op: 'list'; readonly items: readonly Expr[] }
  | { readonly op: 'tuple'; readonly items: readonly Expr[] }
  | { readonly op: 'dict'; readonly items: readonly (readonly [Expr, Expr])[] }

export type BinarySign = 'and' | 'or' | '+' | '-' | '*' | '/' | '//' | '%' | '**'
export type CompareSign = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in'

export interface Args {
  readonly list: readonly Expr[]
  readonly named: Readonly<Record<string, Expr>>
}

export type Node =
  | { readonly op: 'text'; readonly text: string }
  | { readonly op: 'output'; readonly expr: Expr; readonly source: string; readonly offset: number }
  | { readonly op: 'comment'; readonly text: string }
  | {
      readonly op: 'branch'
      readonly cases: readonly { test: Expr; body: readonly Node[] }[]
      readonly otherwise: readonly Node[]
      readonly source: string
      readonly offset: number
    }
  | {
      readonly op: 'for'
      readonly names: readonly string[]
      readonly of: Expr
      readonly filter: Expr | undefined
      readonly body: readonly Node[]
      readonly otherwise: readonly Node[]
      readonly source: string
      readonly offset: number
    }
  | {
      readonly op: 'set'
      readonly name: string
      readonly value: Expr
      readonly source: string
      readonly offset: number
    }
