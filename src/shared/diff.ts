/** What a change does to something, for `--diff`. Text is shown as a unified diff, other values as from → to. */
export type Diff =
  | { readonly kind: 'text'; readonly path: string; readonly before: string; readonly after: string }
  | { readonly kind: 'value'; readonly from: unknown; readonly to: unknown }
