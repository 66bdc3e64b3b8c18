/**
 * The floor of the steady bench: opens the connections with a bare ssh2 and reads the state that the thirty tasks look at
 * in one `sh` script. No inventory, no templates, no host keys, no comparison: nothing that prepares nodes can be quicker.
 * Arguments: private key, then `address:port` of each host. JavaScript: Node needs 45 ms to read TypeScript.
 */
import { readFileSync } from 'node:fs'
import { Client } from 'ssh2'

const SCRIPT = `
stat -c '%f %u %g %U %G %s %X %Y %Z %h %i %d %n' /etc/bench/d1 /etc/bench/d2 /etc/bench/d3 /etc/bench/d4 /etc/bench/d5 \
  /etc/bench/d1/conf1 /etc/bench/d1/conf2 /etc/bench/d1/conf3 /etc/bench/d1/conf4 /etc/bench/d1/conf5 /etc/bench/d1/conf6 \
  /etc/bench/d1/conf7 /etc/bench/d1/conf8 /etc/hosts /etc/bench/link
sha256sum /etc/bench/d1/conf1 /etc/bench/d1/conf2 /etc/bench/d1/conf3 /etc/bench/d1/conf4 /etc/bench/d1/conf5 \
  /etc/bench/d1/conf6 /etc/bench/d1/conf7 /etc/bench/d1/conf8
cat /etc/hosts /etc/sysctl.d/90-bench.conf /etc/modules-load.d/bench.conf
readlink /etc/bench/link
cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/all/rp_filter /proc/sys/net/ipv4/tcp_keepalive_time \
  /proc/sys/net/ipv4/tcp_fin_timeout /proc/sys/net/ipv4/ip_local_port_range
systemctl show --no-pager -p Id,LoadState,ActiveState,SubState,UnitFileState ssh.service bench.service
uname -r
cat /proc/loadavg
findmnt -no OPTIONS /
cat /etc/os-release /proc/meminfo
ip -o addr show
ip route show default
`

const [key = '', ...hosts] = process.argv.slice(2)
const privateKey = readFileSync(key)

function read(host) {
  const [address, port] = host.split(':')
  return new Promise((resolve, reject) => {
    const client = new Client()
    client.on('error', reject).on('ready', () => {
      client.setNoDelay(true)
      client.exec('exec /bin/sh', (error, channel) => {
        if (error) return reject(error)
        let bytes = 0
        channel.on('data', (chunk) => {
          bytes += chunk.length
        })
        channel.stderr.resume()
        channel.on('close', () => {
          client.end()
          resolve(bytes)
        })
        channel.end(SCRIPT)
      })
    })
    client.connect({ host: address, port: Number(port ?? 22), username: 'root', privateKey })
  })
}

const sizes = await Promise.all(hosts.map(read))
if (sizes.some((n) => n < 3000)) throw new Error(`too little was read: ${sizes.join(' ')} bytes`)
