// What commands print: results on standard output, everything else on standard error.

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One JSON value on one line, so that lines can be piped on. */
export function printJson(value: unknown): void {
  printLine(JSON.stringify(value));
}

export function printNote(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Columns as wide as their widest cell; numbers to the right. */
export function formatTable(
  columns: readonly string[],
  rows: readonly (readonly unknown[])[],
): string {
  const cells = rows.map((row) => row.map(formatCell));
  const widths = columns.map((column, index) =>
    Math.max(column.length, ...cells.map((row) => row[index]?.length ?? 0)),
  );
  const rights = columns.map(
    (_, index) => rows.length > 0 && rows.every((row) => isNumeric(row[index])),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        return rights[index] ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [line(columns), ...cells.map(line)].join('\n');
}

/** One field a line. */
export function formatFields(fields: Readonly<Record<string, unknown>>): string {
  const width = Math.max(0, ...Object.keys(fields).map((name) => name.length));
  return Object.entries(fields)
    .map(([name, value]) => `${name.padEnd(width)}  ${formatCell(value)}`)
    .join('\n');
}

/** Columns of rows that are objects: every field that any of them has, in order of appearance. */
export function tableOf(rows: readonly Readonly<Record<string, unknown>>[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return formatTable(
    columns,
    rows.map((row) => columns.map((column) => row[column])),
  );
}

function isNumeric(value: unknown): boolean {
  return typeof value === 'number' || value === null || value === undefined;
}

function formatCell(value: unknown): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'number' && !Number.isInteger(value)) {
    // A rate of 0.0002 a second is not 0.
    return String(Number(Math.abs(value) < 1 ? value.toPrecision(3) : value.toFixed(3)));
  }
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
