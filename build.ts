/**
 * `npm run build [-- FOLDER]`: dist/ for publishing, here or in FOLDER. Node strips no types below node_modules, so the package
 * holds JavaScript: the whole program as one script, of which bin/compiled.js keeps what V8 has compiled (docs/architecture.md
 * says what that brings).
 */
import { cpSync, globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { type BuildOptions, build, type Plugin } from 'esbuild'

const root = import.meta.dirname
const dist = resolve(process.argv[2] ?? root, 'dist')
rmSync(dist, { recursive: true, force: true })

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node24',
  minifyWhitespace: true,
  // Node shows the line of an error that nobody caught.
  lineLimit: 200,
  logLevel: 'warning',
} satisfies BuildOptions

/** In place of looking into modules/: a table of what is there. */
const moduleTable: Plugin = {
  name: 'module-table',
  setup({ onLoad }) {
    const files = globSync('modules/*.ts', { cwd: root }).sort()
    const lines = files.map((file) => `${JSON.stringify(basename(file, '.ts'))}: () => import('./${file}'),`)
    const contents = `export const MODULE_FILES = {\n${lines.join('\n')}\n}`
    onLoad({ filter: /\/src\/module\/folder\.ts$/ }, () => ({ contents, resolveDir: root }))
  },
}

/** ssh2's compiled part (ciphers) stays where its installation has built it; it tries to load it, and does without. */
const nativeParts: Plugin = {
  name: 'native-parts',
  setup({ onResolve }) {
    onResolve({ filter: /\/sshcrypto\.node$/ }, () => ({
      path: 'ssh2/lib/protocol/crypto/build/Release/sshcrypto.node',
      external: true,
    }))
  },
}

/** zod brings its messages in fifty languages, and makes a function of each when it starts. */
const oneLanguage: Plugin = {
  name: 'one-language',
  setup({ onLoad }) {
    onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({ contents: '' }))
  },
}

const { outputFiles } = await build({
  ...common,
  entryPoints: ['src/cli/main.ts'],
  write: false,
  // As deep as src/cli/main.ts is: paths in it are relative to its folder.
  outfile: join(dist, 'src/cli/main.js'),
  format: 'cjs',
  banner: { js: '(function (exports, require, module, __filename, __dirname, __url) {' },
  footer: { js: '})' },
  define: {
    'import.meta.dirname': '__dirname',
    'import.meta.filename': '__filename',
    'import.meta.url': '__url',
  },
  alias: { '#module': join(root, 'src/module/index.ts') },
  // The Kubernetes client is large and seldom needed; cpu-features is compiled, and ssh2 does without.
  external: ['@kubernetes/client-node', 'cpu-features'],
  // A script has no loader of modules; `require` loads the one that is not in it.
  supported: { 'dynamic-import': false },
  plugins: [moduleTable, nativeParts, oneLanguage],
})
const [program] = outputFiles
mkdirSync(dirname(program!.path), { recursive: true })
// bin/compiled.js reads bytes (esbuild leaves patterns and tagged templates as they are, none of which asks for its raw text),
// and knows by the hash what it kept.
if (/String\.raw`[^`]*[^\0-\x7f]/.test(program!.text)) throw new Error('String.raw with more than ASCII')
const ascii = program!.text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
writeFileSync(program!.path, `/* ${program!.hash.replace(/\W/g, '')} */ ${ascii}`)
await build({
  ...common,
  entryPoints: ['src/netboot/tftp/sender-thread.ts'],
  outdir: dist,
  outbase: '.',
  format: 'esm',
})
// Scripts that run on machines, which src/netboot/installer/build.ts reads as files.
for (const path of globSync('src/netboot/installer/*.{sh,service}', { cwd: root })) {
  cpSync(join(root, path), join(dist, path))
}
