import { isIPv4 } from 'node:net';
import t from 'tap';
import {
  endpointHost,
  endpointOf,
  endpointOfItem,
  isHanging,
  itemBody,
  readItemBody,
} from '../../../bench/gateways/load/endpoint-hosts.ts';

const ENDPOINTS = 10_000;

t.test('every endpoint has an address of its own', async (t) => {
  const hosts = Array.from({ length: 70_000 }, (_, endpoint) => endpointHost(endpoint));
  t.equal(new Set(hosts).size, hosts.length);
  t.strictSame(
    hosts.map(endpointOf),
    hosts.map((_, endpoint) => endpoint),
  );
  t.ok(hosts.every((host) => isIPv4(host) && host.startsWith('127.')));
  t.throws(() => endpointOf('10.0.0.1'), /is no endpoint/);
});

t.test('as many hang as are asked for, and items go to all in turn', async (t) => {
  const all = Array.from({ length: ENDPOINTS }, (_, endpoint) => endpoint);
  t.equal(all.filter((endpoint) => isHanging(endpoint, ENDPOINTS, 100)).length, 100);
  t.equal(all.filter((endpoint) => isHanging(endpoint, ENDPOINTS, 30)).length, 30);
  const visited = new Set(all.map((item) => endpointOfItem(item, ENDPOINTS)));
  t.equal(visited.size, ENDPOINTS);
});

t.test('a body says which item it is and when it was due', async (t) => {
  t.strictSame(readItemBody(itemBody(7, 1234.6)), { item: 7, dueUs: 1235 });
  t.throws(() => readItemBody('{}'), /a body of/);
});
