/** Whether a day as `2026-11-30` is in the calendar: `Date.parse` takes the 31st of November for the 1st of December. */
export function isDay(text: string): boolean {
  const ms = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}
