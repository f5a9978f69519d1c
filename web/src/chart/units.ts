/**
 * Grafana unit id -> formatter.
 *
 * Here: the table of unit ids and the ids with a parameter (`prefix:`, `suffix:`, `time:`, `si:`, `count:`,
 * `currency:`, `bool:`).
 * Elsewhere: decimals and scaling (`number.ts`), dates and durations (`dates.ts`), thresholds and mappings
 * (`field.ts`).
 *
 * Invariant: an unknown id never fails; it is shown as written, behind the number.
 */
import { clock, daysHoursMinutesSeconds, duration, formatDate, fromNow, hoursMinutesSeconds, isToday } from './dates';
import { joinFormatted, plain, scaled, toFixed } from './number';
import type { Decimals, Formatted, Formatter } from './number';

const SI = ['f', 'p', 'n', 'µ', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
const IEC = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei', 'Zi', 'Yi'];

/** SI prefixes; `power` is the power of 1000 the incoming values are already in. */
function si(symbol: string, power = 0): Formatter {
  return scaled(
    1000,
    SI.map((p) => ` ${p}${symbol}`),
    5 + power,
  );
}

function iec(symbol: string, power = 0): Formatter {
  return scaled(
    1024,
    IEC.slice(power).map((p) => ` ${p}${symbol}`),
  );
}

function count(symbol: string): Formatter {
  const scale = scaled(1000, ['', 'K', 'M', 'B', 'T']);
  return (value, decimals) => {
    const f = scale(value, decimals);
    return { text: f.text, suffix: `${f.suffix ?? ''} ${symbol}` };
  };
}

function currency(symbol: string, behind = false): Formatter {
  const scale = scaled(1000, ['', 'K', 'M', 'B', 'T']);
  return (value, decimals) => {
    const f = scale(value, decimals);
    return behind ? { ...f, suffix: `${f.suffix ?? ''} ${symbol}` } : { ...f, prefix: symbol };
  };
}

function boolean(yes: string, no: string): Formatter {
  return (value) => ({ text: value ? yes : no });
}

/** Steps of a duration written as one number; each is [below this many, divisor, suffix]. */
function stepped(steps: readonly [limit: number, divisor: number, suffix: string][]): Formatter {
  return (value, decimals) => {
    if (!Number.isFinite(value)) return { text: toFixed(value) };
    const [, divisor, suffix] = steps.find(([limit]) => Math.abs(value) < limit) ?? steps[steps.length - 1]!;
    const text = toFixed(value / divisor, decimals);
    return {
      text,
      suffix:
        (suffix.length > 3 && Number(text) !== 1) || (suffix === ' min' && Number(text) !== 1) ? `${suffix}s` : suffix,
    };
  };
}

const secondsNotZero = stepped([
  [1e-6, 1e-9, ' ns'],
  [1e-3, 1e-6, ' µs'],
  [1, 1e-3, ' ms'],
  [60, 1, ' s'],
  [3600, 60, ' min'],
  [86400, 3600, ' hour'],
  [604800, 86400, ' day'],
  [31536000, 604800, ' week'],
  [Infinity, 3.15569e7, ' year'],
]);
const seconds: Formatter = (value, decimals) =>
  value === 0 ? { text: '0', suffix: ' s' } : secondsNotZero(value, decimals);

const percent: Formatter = (value, decimals) => ({ text: toFixed(value, decimals), suffix: '%' });
const percentUnit: Formatter = (value, decimals) => percent(value * 100, decimals);

function date(pattern: string, todayPattern?: string): Formatter {
  return (value, _decimals, timeZone) => {
    const today = todayPattern !== undefined && isToday(value, Date.now(), timeZone);
    return { text: formatDate(value, today ? todayPattern : pattern, timeZone) };
  };
}

const ISO = 'YYYY-MM-DD HH:mm:ss';
const US = 'MM/DD/YYYY h:mm:ss a';

const TABLE: Record<string, Formatter> = {
  none: plain(''),
  string: (value) => ({ text: String(value) }),
  short: scaled(1000, ['', ' K', ' Mil', ' Bil', ' Tri', ' Quadr', ' Quint', ' Sext', ' Sept']),
  sishort: scaled(
    1000,
    SI.map((p) => (p ? ` ${p}` : '')),
    5,
  ),
  percent,
  percentunit: percentUnit,
  humidity: plain('%H'),
  dB: plain('dB'),
  candela: si('cd'),
  pixel: plain('px'),
  hex: (value) => ({ text: Math.round(value).toString(16).toUpperCase() }),
  hex0x: (value) => ({ text: `0x${Math.round(value).toString(16).toUpperCase()}` }),
  sci: (value, decimals) => ({ text: value.toExponential(decimals ?? undefined) }),
  locale: (value, decimals) => ({
    text: value.toLocaleString('en-US', decimals == null ? {} : { maximumFractionDigits: decimals }),
  }),
  bool: boolean('True', 'False'),
  bool_yes_no: boolean('Yes', 'No'),
  bool_on_off: boolean('On', 'Off'),

  bits: iec('b'),
  bytes: iec('B'),
  kbytes: iec('B', 1),
  mbytes: iec('B', 2),
  gbytes: iec('B', 3),
  tbytes: iec('B', 4),
  pbytes: iec('B', 5),
  decbits: si('b'),
  decbytes: si('B'),
  deckbytes: si('B', 1),
  decmbytes: si('B', 2),
  decgbytes: si('B', 3),
  dectbytes: si('B', 4),
  decpbytes: si('B', 5),
  pps: si('p/s'),
  binBps: iec('B/s'),
  Bps: si('B/s'),
  binbps: iec('b/s'),
  bps: si('b/s'),
  KiBs: iec('B/s', 1),
  MiBs: iec('B/s', 2),
  GiBs: iec('B/s', 3),
  TiBs: iec('B/s', 4),
  PiBs: iec('B/s', 5),
  Kibits: iec('b/s', 1),
  Mibits: iec('b/s', 2),
  Gibits: iec('b/s', 3),
  Tibits: iec('b/s', 4),
  Pibits: iec('b/s', 5),
  KBs: si('B/s', 1),
  MBs: si('B/s', 2),
  GBs: si('B/s', 3),
  TBs: si('B/s', 4),
  PBs: si('B/s', 5),
  Kbits: si('b/s', 1),
  Mbits: si('b/s', 2),
  Gbits: si('b/s', 3),
  Tbits: si('b/s', 4),
  Pbits: si('b/s', 5),

  dateTimeAsIso: date(ISO),
  dateTimeAsIsoNoDateIfToday: date(ISO, 'HH:mm:ss'),
  dateTimeAsUS: date(US),
  dateTimeAsUSNoDateIfToday: date(US, 'h:mm:ss a'),
  dateTimeAsLocal: date(ISO),
  dateTimeAsLocalNoDateIfToday: date(ISO, 'HH:mm:ss'),
  dateTimeAsSystem: date(ISO),
  dateTimeFromNow: (value) => ({ text: fromNow(value, Date.now()) }),

  hertz: si('Hz'),
  hz: si('Hz'),
  s: seconds,
  ns: stepped([
    [1e3, 1, ' ns'],
    [1e6, 1e3, ' µs'],
    [1e9, 1e6, ' ms'],
    [6e10, 1e9, ' s'],
    [3.6e12, 6e10, ' min'],
    [8.64e13, 3.6e12, ' hour'],
    [Infinity, 8.64e13, ' day'],
  ]),
  µs: stepped([
    [1e3, 1, ' µs'],
    [1e6, 1e3, ' ms'],
    [Infinity, 1e6, ' s'],
  ]),
  ms: stepped([
    [1e3, 1, ' ms'],
    [6e4, 1e3, ' s'],
    [3.6e6, 6e4, ' min'],
    [8.64e7, 3.6e6, ' hour'],
    [3.1536e10, 8.64e7, ' day'],
    [Infinity, 3.1536e10, ' year'],
  ]),
  m: stepped([
    [60, 1, ' min'],
    [1440, 60, ' hour'],
    [10080, 1440, ' day'],
    [525600, 10080, ' week'],
    [Infinity, 525948, ' year'],
  ]),
  h: stepped([
    [24, 1, ' hour'],
    [168, 24, ' day'],
    [8760, 168, ' week'],
    [Infinity, 8760, ' year'],
  ]),
  d: stepped([
    [7, 1, ' day'],
    [365, 7, ' week'],
    [Infinity, 365, ' year'],
  ]),
  dtdurationms: (value, decimals) => duration(value, decimals, 'millisecond'),
  dtdurations: (value, decimals) => duration(value * 1000, decimals, 'second'),
  dthms: hoursMinutesSeconds,
  dtdhms: daysHoursMinutesSeconds,
  timeticks: (value, decimals) => seconds(value / 100, decimals),
  clockms: clock,
  clocks: (value, decimals) => clock(value * 1000, decimals),

  cps: count('c/s'),
  ops: count('ops/s'),
  reqps: count('req/s'),
  rps: count('rd/s'),
  wps: count('wr/s'),
  iops: count('io/s'),
  eps: count('evt/s'),
  mps: count('msg/s'),
  recps: count('rec/s'),
  rowsps: count('rows/s'),
  cpm: count('c/m'),
  opm: count('ops/m'),
  reqpm: count('req/m'),
  rpm: count('rd/m'),
  wpm: count('wr/m'),
  epm: count('evts/m'),
  mpm: count('msg/m'),
  recpm: count('rec/m'),
  rowspm: count('rows/m'),

  celsius: plain('°C'),
  fahrenheit: plain('°F'),
  farenheit: plain('°F'),
  kelvin: plain('K'),
  velocityms: plain('m/s'),
  velocitykmh: plain('km/h'),
  velocitymph: plain('mph'),
  velocityknot: plain('kn'),
  accMS2: plain('m/sec²'),
  degree: plain('°'),
  radian: plain('rad'),
  grad: plain('grad'),
  ppm: plain('ppm'),
  conppb: plain('ppb'),
  conngm3: plain('ng/m³'),
  conμgm3: plain('μg/m³'),
  conmgm3: plain('mg/m³'),
  congm3: plain('g/m³'),
  watt: si('W'),
  kwatt: si('W', 1),
  megwatt: si('W', 2),
  gwatt: si('W', 3),
  mwatt: si('W', -1),
  Wm2: plain('W/m²'),
  voltamp: si('VA'),
  kvoltamp: si('VA', 1),
  voltampreact: si('VAr'),
  kvoltampreact: si('VAr', 1),
  watth: si('Wh'),
  kwatth: si('Wh', 1),
  amph: si('Ah'),
  kamph: si('Ah', 1),
  mamph: si('Ah', -1),
  joule: si('J'),
  ev: si('eV'),
  amp: si('A'),
  kamp: si('A', 1),
  mamp: si('A', -1),
  volt: si('V'),
  kvolt: si('V', 1),
  mvolt: si('V', -1),
  dBm: plain('dBm'),
  ohm: si('Ω'),
  kohm: si('Ω', 1),
  Mohm: si('Ω', 2),
  farad: si('F'),
  henry: si('H'),
  lumens: si('Lm'),
  lux: plain('lux'),
  rotrpm: plain('rpm'),
  rothz: si('Hz'),
  rotkhz: si('Hz', 1),
  rotmhz: si('Hz', 2),
  rotghz: si('Hz', 3),
  rotrads: plain('rad/s'),
  rotdegs: plain('°/s'),
  flowgpm: plain('gpm'),
  flowcms: plain('cms'),
  flowcfs: plain('cfs'),
  flowcfm: plain('cfm'),
  litreh: plain('L/h'),
  flowlpm: plain('L/min'),
  flowmlpm: plain('mL/min'),
  litre: si('L'),
  mlitre: si('L', -1),
  m3: plain('m³'),
  dm3: plain('dm³'),
  gallons: plain('gal'),
  lengthmm: si('m', -1),
  lengthm: si('m'),
  lengthkm: si('m', 1),
  lengthft: plain('ft'),
  lengthmi: plain('mi'),
  lengthin: plain('in'),
  massmg: si('g', -1),
  massg: si('g'),
  masskg: si('g', 1),
  masst: plain('t'),
  masslb: plain('lb'),
  pressurembar: si('bar', -1),
  pressurebar: si('bar'),
  pressurepa: si('Pa'),
  pressurehpa: plain('hPa'),
  pressurekpa: plain('kPa'),
  pressurepsi: plain('psi'),
  forceN: si('N'),
  forceNm: si('Nm'),
  flops: si('FLOPS'),
  mflops: si('FLOPS', 2),
  gflops: si('FLOPS', 3),
  tflops: si('FLOPS', 4),
  Hs: si('H/s'),
  KHs: si('H/s', 1),
  MHs: si('H/s', 2),
  GHs: si('H/s', 3),
  THs: si('H/s', 4),
  PHs: si('H/s', 5),
  EHs: si('H/s', 6),
  radbq: si('Bq'),
  radsv: si('Sv'),
  radmsv: si('Sv', -1),
  radusv: si('Sv', -2),
  radsvh: si('Sv/h'),
  radmsvh: si('Sv/h', -1),
  radusvh: si('Sv/h', -2),

  currencyUSD: currency('$'),
  currencyEUR: currency('€'),
  currencyGBP: currency('£'),
  currencyJPY: currency('¥'),
  currencyRUB: currency('₽'),
  currencyUAH: currency('₴'),
  currencyBRL: currency('R$'),
  currencyINR: currency('₹'),
  currencyKRW: currency('₩'),
  currencyBTC: currency('฿'),
  currencyCHF: currency('CHF'),
  currencyPLN: currency('PLN'),
  currencyCZK: currency('czk'),
  currencyZAR: currency('R'),
  currencyDKK: currency('kr', true),
  currencyNOK: currency('kr', true),
  currencySEK: currency('kr', true),
  currencyISK: currency('kr', true),
};

/** Ids with a parameter behind the colon. */
function parameterised(id: string): Formatter | undefined {
  const colon = id.indexOf(':');
  if (colon <= 0) return undefined;
  const rest = id.slice(colon + 1);
  switch (id.slice(0, colon)) {
    case 'prefix':
      return (value, decimals) => ({ text: toFixed(value, decimals), prefix: rest });
    case 'suffix':
      return plain(rest);
    case 'time':
      return date(rest);
    case 'si': {
      const power = SI.indexOf(rest.charAt(0)) - 5;
      return rest.length > 1 && SI.includes(rest.charAt(0)) ? si(rest.slice(1), power) : si(rest);
    }
    case 'count':
      return count(rest);
    case 'currency': {
      if (rest.startsWith('financial:')) return parameterised(`currency:${rest.slice(10)}`);
      return rest.endsWith(':suffix') ? currency(rest.slice(0, -7), true) : currency(rest);
    }
    case 'bool': {
      const slash = rest.indexOf('/');
      return slash < 0 ? boolean(rest, '-') : boolean(rest.slice(0, slash), rest.slice(slash + 1));
    }
    default:
      return undefined;
  }
}

const resolved = new Map<string, Formatter>();

/** The formatter of a unit id; an unknown id becomes a suffix. */
export function unitFormatter(id: string | null | undefined): Formatter {
  if (!id) return TABLE.none!;
  let formatter = Object.hasOwn(TABLE, id) ? TABLE[id] : resolved.get(id);
  if (!formatter) {
    formatter = parameterised(id) ?? plain(id);
    resolved.set(id, formatter);
  }
  return formatter;
}

/** Whether `id` is written in the table or carries a parameter; others are shown as a suffix. */
export function isKnownUnit(id: string): boolean {
  return Object.hasOwn(TABLE, id) || parameterised(id) !== undefined;
}

export function formatUnit(
  id: string | null | undefined,
  value: number,
  decimals?: Decimals,
  timeZone?: string,
): Formatted {
  return unitFormatter(id)(value, decimals, timeZone);
}

/** `value` in unit `id`, prefix and suffix included; "" for null. */
export function formatValue(
  id: string | null | undefined,
  value: number | null | undefined,
  decimals?: Decimals,
  timeZone?: string,
): string {
  if (value === null || value === undefined) return '';
  return joinFormatted(formatUnit(id, value, decimals, timeZone));
}

/** Whether ticks of this unit fall on powers of two. */
export function isBinaryUnit(id: string | null | undefined): boolean {
  return !!id && /^(bytes|[kmgtp]bytes|bits|bin[Bb]ps|[KMGTP]i(Bs|bits))$/.test(id);
}
