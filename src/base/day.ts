const DAY_FORM = /^\d{4}-\d{2}-\d{2}$/;

/** Whether it is a day of the calendar as `2026-11-30`: `Date.parse` takes the 31st of November for the 1st of December. */
export function isDay(text: string): boolean {
  if (!DAY_FORM.test(text)) return false;
  const ms = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}
