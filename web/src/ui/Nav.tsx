// Navigation: a side bar on wide screens, a bar at the bottom with a "More" sheet on phones.
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { NAV, type NavItem } from '../pages';
import { setTenant, setZone, tenant, zone } from '../prefs';
import { refreshNow } from '../range';
import { link } from '../router';
import { siteStatus } from '../site';
import { setTheme, type Theme, theme } from '../theme';
import { Dialog } from './Dialog';
import { helpOpen } from './Help';
import { Icon, type IconName, Logo } from './icons';

/** What wants attention behind a navigation item: a count and its meaning in words. */
function attention(item: NavItem): { count: number; text: string } | null {
  const status = siteStatus.value;
  if (!status) return null;
  const counts: Record<string, [number | undefined, string]> = {
    '/alerts': [status.alerts?.firing, 'firing'],
    '/targets': [status.targets?.down, 'down'],
    '/rules': [status.rules?.failing, 'failing'],
  };
  const [count, text] = counts[item.path] ?? [];
  return count ? { count, text: text ?? '' } : null;
}

function NavLink({ item, current, onFollow }: { item: NavItem; current: string; onFollow?: () => void }): JSX.Element {
  const alarm = attention(item);
  return (
    <a
      class="nav-link"
      href={link(item.path)}
      aria-current={item.path === current ? 'page' : undefined}
      onClick={onFollow}
    >
      <Icon name={item.icon} />
      <span>{item.label}</span>
      {alarm && (
        <span class="count" title={`${alarm.count} ${alarm.text}`}>
          {alarm.count}
          <span class="sr"> {alarm.text}</span>
        </span>
      )}
    </a>
  );
}

const THEMES: { value: Theme; label: string; icon: IconName }[] = [
  { value: 'system', label: 'System theme', icon: 'system' },
  { value: 'light', label: 'Light theme', icon: 'sun' },
  { value: 'dark', label: 'Dark theme', icon: 'moon' },
];

function ThemeSwitch(): JSX.Element {
  return (
    <div class="segmented" role="group" aria-label="Theme">
      {THEMES.map((choice) => (
        <button
          key={choice.value}
          type="button"
          title={choice.label}
          aria-label={choice.label}
          aria-pressed={theme.value === choice.value}
          onClick={() => setTheme(choice.value)}
        >
          <Icon name={choice.icon} size={16} />
        </button>
      ))}
    </div>
  );
}

function TenantSelect(): JSX.Element | null {
  const status = siteStatus.value;
  if (!status?.multitenancy) return null;
  const known = status.tenants ?? [];
  const choose = (value: string): void => {
    setTenant(value);
    refreshNow();
  };
  return (
    <label class="field">
      <span>Tenant</span>
      <select value={tenant.value} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">(none)</option>
        {known.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Settings(): JSX.Element {
  return (
    <div class="nav-settings">
      <TenantSelect />
      <div class="nav-tools">
        <ThemeSwitch />
        <button
          type="button"
          class="button ghost zone"
          title="Zone in which times are shown"
          aria-label={`Times in ${zone.value === 'utc' ? 'UTC' : 'local time'}; switch`}
          onClick={() => setZone(zone.value === 'utc' ? 'browser' : 'utc')}
        >
          {zone.value === 'utc' ? 'UTC' : 'Local'}
        </button>
        <button
          type="button"
          class="button ghost icon-only"
          aria-label="Keyboard shortcuts"
          title="Keyboard shortcuts (?)"
          onClick={() => (helpOpen.value = true)}
        >
          <Icon name="keyboard" size={18} />
        </button>
      </div>
      {siteStatus.value && <p class="version">Cairn {siteStatus.value.version}</p>}
    </div>
  );
}

export function SideBar({ current }: { current: string }): JSX.Element {
  return (
    <header class="sidebar">
      <a class="brand" href={link('/')} aria-label="Cairn, home">
        <Logo />
        <span>Cairn</span>
      </a>
      <nav aria-label="Main">
        {NAV.map((item) => (
          <NavLink key={item.path} item={item} current={current} />
        ))}
      </nav>
      <Settings />
    </header>
  );
}

const moreOpen = signal(false);
const ON_BAR = 4;

export function BottomBar({ current }: { current: string }): JSX.Element {
  const close = (): void => {
    moreOpen.value = false;
  };
  const rest = NAV.slice(ON_BAR);
  const alarm = rest.some((item) => attention(item));
  return (
    <>
      <nav class="bottombar" aria-label="Main">
        {NAV.slice(0, ON_BAR).map((item) => (
          <NavLink key={item.path} item={item} current={current} />
        ))}
        <button type="button" class="nav-link" aria-haspopup="dialog" onClick={() => (moreOpen.value = true)}>
          <Icon name="more" />
          <span>More{alarm && <span class="sr"> (something needs attention)</span>}</span>
          {alarm && <span class="count dot" aria-hidden="true" />}
        </button>
      </nav>
      {moreOpen.value && (
        <Dialog title="More" class="sheet" onClose={close}>
          <nav aria-label="More pages">
            {rest.map((item) => (
              <NavLink key={item.path} item={item} current={current} onFollow={close} />
            ))}
          </nav>
          <Settings />
        </Dialog>
      )}
    </>
  );
}
