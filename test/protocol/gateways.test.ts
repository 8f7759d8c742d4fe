// What an exchange says of gateways: the bytes that the native core reads too.
import t from 'tap';
import { parseScopes } from '../../src/ingress/identity.ts';
import {
  type Configure,
  encodeConfigure,
  encodeGatewayUp,
  encodeInUse,
  SCOPE_BIT,
} from '../../src/protocol/exchange.ts';
import { golden, hexOf } from './golden.ts';

interface Row<Meaning> {
  readonly hex: string;
  readonly meaning: Meaning;
}

const rows = golden<{
  readonly configure: readonly Row<Configure>[];
  readonly gatewayUp: readonly Row<{ readonly name: string; readonly up: boolean }>[];
  readonly inUse: readonly Row<{ readonly kind: 'gateway'; readonly name: string }>[];
}>('gateways.json');

t.test('configure, gatewayUp and inUse of a gateway have the bytes of their tables', async (t) => {
  for (const { hex, meaning } of rows.configure) t.equal(hexOf(encodeConfigure(meaning)), hex);
  for (const { hex, meaning } of rows.gatewayUp) {
    t.equal(hexOf(encodeGatewayUp(meaning.name, meaning.up)), hex);
  }
  for (const { hex, meaning } of rows.inUse) {
    t.equal(hexOf(encodeInUse(meaning.kind, meaning.name)), hex);
  }
});

t.test('no token makes a connection one of the daemon itself', async (t) => {
  const scopes = parseScopes('publish consume platform internal');
  t.equal(scopes & SCOPE_BIT.internal, 0);
  t.equal(scopes, SCOPE_BIT.publish | SCOPE_BIT.consume | SCOPE_BIT.platform);
});
