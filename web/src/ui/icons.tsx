// The icons: 20 x 20, drawn with the text colour, hidden from screen readers (the control beside them has the name).
import type { JSX } from 'preact';

const PATHS = {
  home: 'M3 9.2 10 3.5l7 5.7M5 8v8.5h3.8v-4.6h2.4v4.6H15V8',
  boards: 'M3.2 3.8h5.6v6.4H3.2zM11.2 3.8h5.6v3.4h-5.6zM11.2 9.8h5.6v6.4h-5.6zM3.2 12.8h5.6v3.4H3.2z',
  explore: 'M3 16.5h14M3.5 12.5l3.6-4.4 3 2.7 5.9-6.6M13 4.2h3v3',
  bell: 'M5.2 13.6V9a4.8 4.8 0 0 1 9.6 0v4.6l1.4 1.4H3.8zM8.3 17.2h3.4',
  target: 'M10 3.2a6.8 6.8 0 1 0 0 13.6 6.8 6.8 0 0 0 0-13.6zM10 6.9a3.1 3.1 0 1 0 0 6.2 3.1 3.1 0 0 0 0-6.2zM10 1.2v3M10 15.8v3M1.2 10h3M15.8 10h3',
  rules: 'M7.5 5h9M7.5 10h9M7.5 15h9M3.2 5l.8.8L5.4 4.2M3.2 10l.8.8 1.4-1.6M3.2 15l.8.8 1.4-1.6',
  status: 'M3.4 4h13.2v4.6H3.4zM3.4 11.4h13.2V16H3.4zM6 6.3h.1M6 13.7h.1M9 6.3h5M9 13.7h5',
  sun: 'M10 6.6a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8zM10 2v2M10 16v2M2 10h2M16 10h2M4.3 4.3l1.4 1.4M14.3 14.3l1.4 1.4M15.7 4.3l-1.4 1.4M5.7 14.3l-1.4 1.4',
  moon: 'M16.4 12A6.8 6.8 0 0 1 8 3.6a6.8 6.8 0 1 0 8.4 8.4z',
  system: 'M2.8 4h14.4v9.4H2.8zM7 16.6h6M10 13.4v3.2',
  keyboard: 'M2.4 5.4h15.2v9.2H2.4zM5.4 8.3h.1M8.4 8.3h.1M11.5 8.3h.1M14.5 8.3h.1M6.4 11.7h7.2',
  more: 'M4.5 10h.1M10 10h.1M15.5 10h.1',
  refresh: 'M16 6.5A6.8 6.8 0 1 0 16.8 10M16.4 3v3.7h-3.7',
  clock: 'M10 3.2a6.8 6.8 0 1 0 0 13.6 6.8 6.8 0 0 0 0-13.6zM10 6.2V10l2.6 1.8',
  chevron: 'M5.5 7.8 10 12.2l4.5-4.4',
  left: 'M12.2 5.5 7.8 10l4.4 4.5',
  right: 'M7.8 5.5 12.2 10l-4.4 4.5',
  zoomOut: 'M8.8 3.4a5.4 5.4 0 1 0 0 10.8 5.4 5.4 0 0 0 0-10.8zM12.8 12.8l4 4M6.5 8.8h4.6',
  plus: 'M10 4v12M4 10h12',
  close: 'M5 5l10 10M15 5 5 15',
  search: 'M8.8 3.4a5.4 5.4 0 1 0 0 10.8 5.4 5.4 0 0 0 0-10.8zM12.8 12.8l4 4',
  check: 'M4.4 10.6 8.2 14.4 15.8 6',
  warning: 'M10 3.2 17.6 16.4H2.4zM10 8v4M10 14.2v.1',
  cross: 'M10 3.2a6.8 6.8 0 1 0 0 13.6 6.8 6.8 0 0 0 0-13.6zM7.6 7.6l4.8 4.8M12.4 7.6l-4.8 4.8',
  play: 'M6 4.2 15.6 10 6 15.8z',
  copy: 'M7.2 7.2h9v9h-9zM4 12.8V4h8.8',
  eye: 'M2.4 10S5 5 10 5s7.6 5 7.6 5-2.6 5-7.6 5-7.6-5-7.6-5zM10 7.8a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4z',
  eyeOff: 'M2.4 10S5 5 10 5s7.6 5 7.6 5-2.6 5-7.6 5-7.6-5-7.6-5zM4 16.5l12-13',
  pending: 'M10 3.2a6.8 6.8 0 1 0 0 13.6 6.8 6.8 0 0 0 0-13.6zM10 6.4V10M10 13.4v.1',
  dot: 'M10 7.4a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2z',
  star: 'm10 3.2 2.1 4.4 4.7.6-3.4 3.3.8 4.8L10 14l-4.2 2.3.8-4.8-3.4-3.3 4.7-.6z',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The cairn: four stones. */
export function Logo(): JSX.Element {
  return (
    <svg class="logo" width="26" height="26" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <ellipse cx="16" cy="26" rx="12" ry="4.2" />
      <ellipse cx="15.2" cy="17.8" rx="8.6" ry="3.6" opacity=".82" />
      <ellipse cx="16.7" cy="10.8" rx="5.8" ry="3" opacity=".64" />
      <ellipse cx="15.8" cy="5.2" rx="3.1" ry="2.1" opacity=".5" />
    </svg>
  );
}
