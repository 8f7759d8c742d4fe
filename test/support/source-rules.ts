// Checks a source tree against tables of rules: who may import what, and how tidy a file is.
// Knows no rule of its own; the tables stand in test/architecture.test.ts.
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import ts from 'typescript';

/** One TypeScript file; `path` is relative to the tree, with `/`. */
export interface Source {
  readonly path: string;
  readonly text: string;
  readonly ast: ts.SourceFile;
}

export interface ArrowRules {
  /** Top to bottom; a unit is a folder (`base/`) or a file stem that covers `config.ts`, `config-x.ts`. */
  readonly layers: readonly (readonly string[])[];
  /** Units that never import each other. */
  readonly apart: readonly string[];
  /** Units with a shorter list than their layer gives: all of ours they may import. */
  readonly only: Readonly<Record<string, readonly string[]>>;
  /** Third-party package → path prefixes of its importers. */
  readonly packages: Readonly<Record<string, readonly string[]>>;
  /** The one file that may name the native addon. */
  readonly addon: string;
}

export interface TidyRules {
  readonly linesMax: number;
  /** Path → why this file may be longer. */
  readonly longFiles: Readonly<Record<string, string>>;
}

/** Reads every TypeScript file under `root`, in order of path. */
export function readSources(root: string): Source[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.[cm]?tsx?$/.test(path))
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      const ast = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
      return { path, text, ast };
    });
}

/** Returns one line a violation: `path:line: what`. Type imports count like any other. */
export function checkArrows(sources: readonly Source[], rules: ArrowRules): string[] {
  const problems: string[] = [];
  for (const source of sources) {
    const from = unitOf(source.path, rules);
    if (from === undefined) problems.push(`${source.path}:1: belongs to no layer`);
    for (const { specifier, line } of importsOf(source)) {
      const problem = checkImport(source.path, from, specifier, rules);
      if (problem !== undefined) problems.push(`${source.path}:${line}: ${problem}`);
    }
  }
  return problems;
}

function checkImport(
  path: string,
  from: string | undefined,
  specifier: string,
  rules: ArrowRules,
): string | undefined {
  if (specifier.endsWith('.node') || specifier.includes('native/node')) {
    return path === rules.addon ? undefined : `the addon is imported by ${rules.addon} only`;
  }
  if (!specifier.startsWith('.')) return checkPackage(path, specifier, rules);
  const target = posix.join(posix.dirname(path), specifier);
  const to = unitOf(target, rules);
  if (to === undefined) return `imports ${target}, which belongs to no layer`;
  if (from === undefined || from === to) return undefined;
  const only = rules.only[from];
  if (only !== undefined) return only.includes(to) ? undefined : `${from} may not import ${to}`;
  if (layerOf(to, rules) < layerOf(from, rules)) return `${from} may not import ${to}, above it`;
  if (rules.apart.includes(from) && rules.apart.includes(to)) {
    return `${from} may not import ${to}: features meet in daemon.ts`;
  }
  return undefined;
}

function checkPackage(path: string, specifier: string, rules: ArrowRules): string | undefined {
  if (specifier.startsWith('node:')) return undefined;
  const depth = specifier.startsWith('@') ? 2 : 1;
  const name = specifier.split('/').slice(0, depth).join('/');
  const importers = rules.packages[name];
  if (importers === undefined) return `package ${name} is in no table`;
  if (importers.some((prefix) => path.startsWith(prefix))) return undefined;
  return `package ${name} is imported by ${importers.join(', ')} only`;
}

function unitOf(path: string, rules: ArrowRules): string | undefined {
  return rules.layers.flat().find((unit) => {
    if (unit.endsWith('/')) return path.startsWith(unit);
    const rest = path.startsWith(unit) ? path.slice(unit.length) : undefined;
    return rest !== undefined && /^(-[a-z0-9-]+)?\.[cm]?[jt]s$/.test(rest);
  });
}

function layerOf(unit: string, rules: ArrowRules): number {
  return rules.layers.findIndex((layer) => layer.includes(unit));
}

/** Every specifier: import, export from, import(), import type, and calls of a `require`. */
function importsOf({ ast }: Source): { specifier: string; line: number }[] {
  const found: { specifier: string; line: number }[] = [];
  const visit = (node: ts.Node): void => {
    const literal = specifierOf(node);
    // JSON is data, not code: no arrow.
    if (literal && ts.isStringLiteralLike(literal) && !literal.text.endsWith('.json')) {
      found.push({ specifier: literal.text, line: lineOf(ast, literal) });
    }
    ts.forEachChild(node, visit);
  };
  visit(ast);
  return found;
}

function specifierOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    return node.argument.literal;
  }
  if (!ts.isCallExpression(node)) return undefined;
  const callee = node.expression;
  const loads =
    callee.kind === ts.SyntaxKind.ImportKeyword ||
    (ts.isIdentifier(callee) && callee.text === 'require') ||
    (ts.isCallExpression(callee) && callee.expression.getText() === 'createRequire');
  return loads ? node.arguments[0] : undefined;
}

/** Returns one line a violation: `path:line: what`. */
export function checkTidy(sources: readonly Source[], rules: TidyRules): string[] {
  const problems: string[] = [];
  for (const { path, text, ast } of sources) {
    const lines = text.trimEnd().split('\n');
    if (lines.length > rules.linesMax && rules.longFiles[path] === undefined) {
      problems.push(`${path}:1: ${lines.length} lines, at most ${rules.linesMax}`);
    }
    for (const [index, line] of lines.entries()) {
      const mark = line.match(/\b(TODO|FIXME)\b|@ts-(ignore|nocheck|expect-error)/)?.[0];
      if (mark !== undefined) problems.push(`${path}:${index + 1}: ${mark}`);
    }
    const visit = (node: ts.Node): void => {
      if (node.kind === ts.SyntaxKind.AnyKeyword)
        problems.push(`${path}:${lineOf(ast, node)}: any`);
      ts.forEachChild(node, visit);
    };
    visit(ast);
  }
  for (const path of Object.keys(rules.longFiles)) {
    const source = sources.find((each) => each.path === path);
    if (source === undefined || source.text.trimEnd().split('\n').length <= rules.linesMax) {
      problems.push(`${path}:1: needs no place in the list of long files`);
    }
  }
  return problems;
}

function lineOf(ast: ts.SourceFile, node: ts.Node): number {
  return ast.getLineAndCharacterOfPosition(node.getStart(ast)).line + 1;
}
