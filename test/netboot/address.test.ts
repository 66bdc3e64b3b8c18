import t from 'tap'
import {
  broadcastOf,
  formatIp4,
  formatMac,
  formatSubnet,
  inSubnet,
  netmask,
  parseIp4,
  parseMac,
  parseSubnet,
} from '../../src/netboot/address.ts'
import fc from '../property.ts'

t.test('every address is the same after text', async (t) => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 0xffffffff }), (n) => parseIp4(formatIp4(n)) === n))
  for (const bad of ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '1.2.3.4 ', 'a.b.c.d', '1..2.3', '-1.2.3.4']) {
    t.equal(parseIp4(bad), undefined, bad)
  }
})

t.test('subnets', async (t) => {
  for (const [text, canonical, mask, broadcast] of [
    ['10.77.0.9/24', '10.77.0.0/24', '255.255.255.0', '10.77.0.255'],
    ['192.168.1.200/25', '192.168.1.128/25', '255.255.255.128', '192.168.1.255'],
    ['1.2.3.4/32', '1.2.3.4/32', '255.255.255.255', '1.2.3.4'],
    ['200.2.3.4/0', '0.0.0.0/0', '0.0.0.0', '255.255.255.255'],
  ] as const) {
    const subnet = parseSubnet(text)!
    t.equal(formatSubnet(subnet), canonical)
    t.equal(formatIp4(netmask(subnet.prefix)), mask)
    t.equal(formatIp4(broadcastOf(subnet)), broadcast)
    t.ok(inSubnet(subnet, parseIp4(text.split('/')[0]!)!))
  }
  t.notOk(inSubnet(parseSubnet('10.77.0.0/24')!, parseIp4('10.77.1.0')!))
  for (const bad of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0/8', '10.0.0.0/8/8']) {
    t.equal(parseSubnet(bad), undefined, bad)
  }
})

t.test('MAC addresses in every common spelling', async (t) => {
  for (const text of ['52:54:00:AA:bb:00', '52-54-00-aa-bb-00', '525400aabb00', '5254.00aa.bb00']) {
    t.equal(formatMac(parseMac(text)!), '52:54:00:aa:bb:00', text)
  }
  for (const bad of ['', '52:54:00:aa:bb', '52:54-00:aa:bb:00', '52:54:00:aa:bb:0g', '5:4:0:a:b:0']) {
    t.equal(parseMac(bad), undefined, bad)
  }
})
