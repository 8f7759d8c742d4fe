const REDACTED = '(redacted)';
const TEXT_LENGTH_MAX = 80;

/** A copy in which every `secret` is hidden, at any depth. */
export function redact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  const entries = Object.entries(value).map(([name, inner]) => [
    name,
    name === 'secret' ? REDACTED : redact(inner),
  ]);
  return Object.fromEntries(entries);
}

/** A received value as text for a message: JSON, hidden where the key is a secret, cut when long. */
export function redactedText(key: string, value: unknown): string {
  if (value === undefined) return 'nothing';
  // A list of keys given as one text may hold secrets.
  const secret =
    key.endsWith('.secret') || (key.startsWith('auth.keys') && typeof value === 'string');
  if (secret) return REDACTED;
  const text = JSON.stringify(redact(value)) ?? String(value);
  return text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}…` : text;
}
