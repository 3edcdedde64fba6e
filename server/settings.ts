/** What the environment may set; see README, "Commands". */
export interface Settings {
  port: number;
  host: string | undefined;
  corsOrigin: string | string[];
  maxConnections: number;
  tickMs: number;
}

/** Reads the settings from the environment. Throws an error of one line for a bad value. */
export function readSettings(): Settings {
  return {
    port: wholeNumber('PORT', 7000, 0, 65_535),
    host: process.env['HOST'] || undefined,
    corsOrigin: origins(process.env['CORS_ORIGIN'] || '*'),
    maxConnections: wholeNumber('MAX_CONNECTIONS', 10_000, 1, 1_000_000),
    tickMs: wholeNumber('TICK_MS', 1000, 10, 3_600_000),
  };
}

function wholeNumber(name: string, byDefault: number, min: number, max: number): number {
  const text = process.env[name] || String(byDefault);
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new Error(`${name}: expected a whole number from ${min} to ${max}, found ${JSON.stringify(text)}`);
  }
  return value;
}

function origins(text: string): string | string[] {
  if (text === '*') return text;
  return text.split(',').map((item) => {
    const origin = item.trim();
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      throw new Error(
        `CORS_ORIGIN: expected * or origins like https://example.com, found ${JSON.stringify(origin)}`,
      );
    }
    return origin;
  });
}
