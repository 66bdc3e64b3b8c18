/**
 * Answers Router Solicitations, so that iPXE does not wait 13 s for an IPv6 router that is not there. What it says is "no
 * router": lifetime 0, no prefixes (RFC 4861, section 6.2.3). Node has no raw sockets; Perl, which every Debian has
 * (perl-base is essential), has.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/**
 * Arguments: interfaces. A line `answered` for each answer, on standard error what goes wrong. Ends with its standard input, so
 * that it does not outlive us. Numbers are those of Linux: SO_BINDTODEVICE 25; level 41 (IPv6): UNICAST_HOPS 16, MULTICAST_IF
 * 17, MULTICAST_HOPS 18, JOIN_GROUP 20; level 58 (ICMPv6): FILTER 1, in which a bit that is set blocks a type.
 */
const HELPER = String.raw`
use strict;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6 unpack_sockaddr_in6);
$| = 1;
my $advertisement = pack('CCnCCnNN', 134, 0, 0, 0, 0, 0, 0, 0);
my $nobody = inet_pton(AF_INET6, '::');
my (%sockets, %last);
for my $name (@ARGV) {
  open(my $file, '<', "/sys/class/net/$name/ifindex") or die "there is no interface $name\n";
  my $index = 0 + <$file>;
  socket(my $socket, AF_INET6, SOCK_RAW, 58) or die "no raw socket: $!\n";
  my $set = sub { setsockopt($socket, $_[0], $_[1], $_[2]) or die "$name: option $_[1] of $_[0]: $!\n" };
  $set->(SOL_SOCKET, 25, pack('Z16', $name));
  $set->(58, 1, pack('L8', (0xffffffff) x 4, 0xffffffff & ~(1 << 5), (0xffffffff) x 3));
  $set->(41, 16, pack('i', 255));
  $set->(41, 17, pack('i', $index));
  $set->(41, 18, pack('i', 255));
  $set->(41, 20, inet_pton(AF_INET6, 'ff02::2') . pack('I', $index));
  $sockets{fileno $socket} = [$socket, $index, $name];
}
print "ready\n";
for (;;) {
  my $ready = '';
  vec($ready, $_, 1) = 1 for 0, keys %sockets;
  select($ready, undef, undef, undef) > 0 or next;
  exit if vec($ready, 0, 1);
  for my $fd (grep { vec($ready, $_, 1) } keys %sockets) {
    my ($socket, $index, $name) = @{$sockets{$fd}};
    my $from = recv($socket, my $packet, 1500, 0);
    defined $from or die "$name: $!\n";
    next if length $packet < 8;
    my ($port, $address) = unpack_sockaddr_in6($from);
    # To all only where the sender has no address yet, and then not more than once in a second.
    if ($address eq $nobody) {
      next if ($last{$fd} // 0) == time;
      $last{$fd} = time;
      $address = inet_pton(AF_INET6, 'ff02::1');
    }
    if (send($socket, $advertisement, 0, pack_sockaddr_in6(0, $address, $index))) { print "answered\n" }
    else { print STDERR "$name: $!\n" }
  }
}
`

/** Milliseconds until it is started again, after an interface went away. */
const AGAIN = 10_000

export class RouterAdvertiser implements Disposable {
  readonly #interfaces: readonly string[]
  readonly #trouble: (message: string) => void
  #child: ChildProcess | undefined
  #timer: NodeJS.Timeout | undefined
  #last = ''
  #closed = false
  /** `answered`: solicitations. */
  readonly counters = { answered: 0 }

  constructor(interfaces: readonly string[], trouble: (message: string) => void) {
    this.#interfaces = interfaces
    this.#trouble = trouble
  }

  start(): void {
    const child = spawn('perl', ['-e', HELPER, ...this.#interfaces], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    let said = ''
    child.on('error', ({ message }) => {
      said ||= `${message} (apt-get install perl-base)`
    })
    child.stdin.on('error', () => {})
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'answered') this.counters.answered++
    })
    createInterface({ input: child.stderr }).on('line', (line) => {
      said = line.slice(0, 200)
    })
    child.on('close', () => {
      if (this.#closed) return
      const trouble = `Router Advertisements: ${said || 'the helper ended'}`
      // An interface that stays away is said once.
      if (trouble !== this.#last) this.#trouble(trouble)
      this.#last = trouble
      this.#timer = setTimeout(() => this.start(), AGAIN)
    })
  }

  [Symbol.dispose](): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#child?.stdin?.end()
    this.#child?.kill()
  }
}
