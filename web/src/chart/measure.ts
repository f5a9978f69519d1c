/** Widths of text in the UI font, so that large numbers fill their box and never spill over. */

let context: CanvasRenderingContext2D | null | undefined;
const widths = new Map<string, number>();
const CACHE_MAX = 2000;

/** Width of `text` per pixel of font size, at `weight`. An estimate where there is no canvas. */
export function textWidth(text: string, weight: number): number {
  const key = `${weight}${text}`;
  const known = widths.get(key);
  if (known !== undefined) return known;
  context ??= typeof document === 'undefined' ? null : document.createElement('canvas').getContext?.('2d');
  let width = text.length * 0.66;
  if (context) {
    context.font = `${weight} 100px ${getComputedStyle(document.body).fontFamily || 'sans-serif'}`;
    width = context.measureText(text).width / 100;
  }
  if (widths.size > CACHE_MAX) widths.clear();
  widths.set(key, width);
  return width;
}
