// Where in an expression the server found a mistake.

export interface Mistake {
  /** What is wrong, without the position. */
  text: string;
  /** The line of the expression that holds it, and the 0-based column in it; null where the server named no position. */
  at: { line: string; lineNumber: number; column: number } | null;
}

/** Splits `invalid parameter "query": 1:5: parse error: …` into its parts. */
export function mistake(message: string, expr: string): Mistake {
  const found = /(?:^|[\s:])(\d+):(\d+): (parse error: )?(.*)$/s.exec(message);
  if (!found) return { text: message, at: null };
  const lineNumber = Number(found[1]);
  const line = expr.split('\n')[lineNumber - 1];
  if (line === undefined) return { text: message, at: null };
  const column = Math.min(Math.max(Number(found[2]) - 1, 0), line.length);
  return { text: found[4] ?? message, at: { line, lineNumber, column } };
}
