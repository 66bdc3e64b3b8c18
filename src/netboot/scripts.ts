/** Boot scripts for iPXE and GRUB. A script either boots the local disk or an installer, and never falls from one to the other. */

export interface Loads {
  /** For people: shown on the machine's console. */
  readonly title: string
  /** URLs for iPXE, paths on GRUB's boot device for GRUB. */
  readonly kernel: string
  readonly initrd: readonly string[]
  readonly cmdline: string
}

/** How often iPXE asks again for a file, and how long it waits before; the switch port may not forward yet. */
const TRIES = 12
const PAUSE = 5

/**
 * Gives control back to the firmware, which goes on with its boot order. BIOS firmware does not always do that, so the
 * first disk is tried there; a UEFI boot manager stops in its menu unless the loader failed, so it ends with an error.
 */
export function ipxeLocal(why: string): string {
  return `#!ipxe
echo runbook: ${plain(why)}: booting the local disk
iseq \${platform} pcbios && sanboot --no-describe --drive 0x80 ||
exit 1
`
}

/** `autoexec.ipxe`, the same for all: asks DHCP, whose answer names the script of this machine. */
export function ipxeAutoexec(): string {
  return `#!ipxe
dhcp || goto local
isset \${filename} || goto local
chain \${filename} || goto local
:local
${ipxeLocal('no boot script').split('\n').slice(1).join('\n')}`
}

export function ipxeLoad({ title, kernel, initrd, cmdline }: Loads): string {
  const names = initrd.map((_, i) => `initrd=initrd${i}`).join(' ')
  const files = [
    `kernel ${[kernel, names, cmdline].filter(Boolean).join(' ')}`,
    ...initrd.map((url, i) => `initrd --name initrd${i} ${url}`),
  ]
  return `#!ipxe
echo runbook: ${plain(title)}
${files.map(ipxeTry).join('')}boot || goto failed
${IPXE_FAILED}`
}

/** Chains into an EFI program. */
export function ipxeChain(title: string, url: string): string {
  return `#!ipxe
echo runbook: ${plain(title)}
chain ${url} || goto failed
${IPXE_FAILED}`
}

function ipxeTry(command: string, i: number): string {
  return `set tries:int32 0
:file${i}
${command} && goto done${i} ||
inc tries
iseq \${tries} ${TRIES} && goto failed ||
sleep ${PAUSE}
goto file${i}
:done${i}
`
}

const IPXE_FAILED = `:failed
echo runbook: it could not be loaded; this repave is used up, ask for another one
sleep 30
exit 1
`

/** Where installed systems keep their loader, what distributions install first. */
const EFI_LOADERS = ['debian', 'ubuntu', 'rocky', 'fedora', 'centos', 'redhat', 'opensuse', 'sles']
  .flatMap((name) => [`/EFI/${name}/shimx64.efi`, `/EFI/${name}/grubx64.efi`])
  .concat('/EFI/systemd/systemd-bootx64.efi', '/EFI/BOOT/BOOTX64.EFI', '/EFI/BOOT/BOOTAA64.EFI')

export function grubLocal(why: string): string {
  return `# ${plain(why)}: the local disk
set timeout=0
for loader in ${EFI_LOADERS.join(' ')}; do
  if search --no-floppy --set=root --file $loader; then
    chainloader $loader
    boot
  fi
done
exit 1
`
}

export function grubLoad({ title, kernel, initrd, cmdline }: Loads): string {
  const words = cmdline.split(/\s+/).filter(Boolean).map(grubQuote)
  const lines = [['linux', kernel, ...words].join(' '), initrd.length > 0 && ['initrd', ...initrd].join(' ')]
  return `# ${plain(title)}
set timeout=0
${lines.filter(Boolean).join('\n')}
boot
exit 1
`
}

/** GRUB's shell splits at `;` and more, which command lines of installers have. */
function grubQuote(word: string): string {
  return /^[\w.,:/=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/** One line without anything that a script's language could take for its own. */
function plain(text: string): string {
  return text.replace(/[^\w .,:/-]/g, '_')
}
