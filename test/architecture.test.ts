// The shape of src as rules: which folder may import which, the one importer of each package, tidiness.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  type ArrowRules,
  checkArrows,
  checkTidy,
  readSources,
  type TidyRules,
} from './support/source-rules.ts';

const root = join(import.meta.dirname, '..');

/** They meet in daemon.ts, through interfaces that their user declares, so that each can be read alone. */
const features = [
  'dispatch/',
  'gateway/',
  'callbacks/',
  'accounts/',
  'gate/',
  'proxy/',
  'usage/',
  'router/',
  'metering/',
  'presence/',
] as const;

const arrows: ArrowRules = {
  // Top to bottom. A unit imports from its own layer and from every layer below.
  layers: [
    ['main'],
    ['cli/', 'daemon', 'dashboard/'],
    ['ingress/', 'shard/', 'client/', ...features],
    ['exchange/', 'protocol/', 'native', 'store/', 'rest/', 'outbound/'],
    ['limits', 'errors', 'config', 'config/'],
    ['base/', 'log'],
  ],
  apart: features,
  only: {
    // Runs in browsers: no native code, no server parts.
    'client/': ['protocol/'],
    // Shared by client and daemon: pure tables and codecs.
    'protocol/': ['base/'],
    // Built apart from the daemon, for the browser.
    'dashboard/': ['client/', 'protocol/'],
    // The bottom depends on nothing of ours.
    'base/': [],
  },
  packages: {
    // A process speaks to commands in one place.
    commander: ['cli/', 'main.ts'],
    // Storage rules (flush, key order, buffers) are kept by one folder.
    lmdb: ['store/'],
    // Its buffers are detached after a handler: nothing outside may hold one.
    'uWebSockets.js': ['ingress/'],
    // A shard's thread and its life are one folder's business.
    piscina: ['shard/'],
    // Tokens are verified in one place.
    jose: ['ingress/auth'],
    // One log format; the others take the logger type of base.
    pino: ['log.ts'],
    // The file format is known to the options only.
    'smol-toml': ['config'],
    // Checks of outside data: options, and REST resources of the features that have them.
    zod: [
      'config',
      'rest/',
      'dispatch/',
      'outbound/',
      'gateway/',
      'callbacks/',
      'accounts/',
      'gate/',
      'usage/',
    ],
    // Only for trusted data, so only where the message tables are.
    msgpackr: ['protocol/'],
    // The SDK's socket where the platform has none (Node 20).
    ws: ['client/'],
    // Outgoing HTTP goes through the guard against server-side request forgery.
    undici: ['outbound/'],
    'ipaddr.js': ['outbound/'],
    // Its faults are wrapped in one place.
    smpp: ['gateway/smpp/'],
    // Numbers of people and countries are understood where applications send to them.
    'libphonenumber-js': ['accounts/'],
  },
  addon: 'native.ts',
};

const tidy: TidyRules = {
  linesMax: 400,
  // Path in src → why it reads better in one piece.
  longFiles: {},
};

t.test('src keeps the arrows', async (t) => {
  t.strictSame(checkArrows(readSources(join(root, 'src')), arrows), []);
});

t.test('src is tidy', async (t) => {
  t.strictSame(checkTidy(readSources(join(root, 'src')), tidy), []);
});

t.test('every dependency has its importer', async (t) => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const missing = Object.keys(dependencies).filter((name) => arrows.packages[name] === undefined);
  t.strictSame(missing, []);
});

t.test('a bad tree is reported', async (t) => {
  const bad = readSources(join(import.meta.dirname, 'fixtures', 'arrows-bad'));
  t.strictSame(checkArrows(bad, arrows), [
    'base/clock.ts:1: base/ may not import limits',
    'client/index.ts:1: client/ may not import shard/',
    'dispatch/service.ts:1: dispatch/ may not import gate/: features meet in daemon.ts',
    'dispatch/service.ts:2: package lmdb is imported by store/ only',
    'gate/permit.ts:1: gate/ may not import daemon, above it',
    'helpers.ts:1: belongs to no layer',
    'ingress/listen.ts:2: package jose is imported by ingress/auth only',
    'protocol/frame.ts:1: protocol/ may not import limits',
    'shard/pool.ts:2: the addon is imported by native.ts only',
    'shard/pool.ts:3: shard/ may not import cli/, above it',
    'store/open.ts:1: package left-pad is in no table',
    'store/open.ts:2: package @scope/name is in no table',
  ]);
  const longFiles = { 'gone.ts': 'it was long once' };
  t.strictSame(checkTidy(bad, { linesMax: 8, longFiles }), [
    'daemon.ts:1: 9 lines, at most 8',
    'limits.ts:1: TODO',
    'limits.ts:2: FIXME',
    'limits.ts:3: @ts-ignore',
    'limits.ts:1: any',
    'limits.ts:4: any',
    'gone.ts:1: needs no place in the list of long files',
  ]);
});
