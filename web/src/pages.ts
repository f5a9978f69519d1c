// The table of pages: which path shows what. Each page is a chunk of its own, loaded when it is first shown.
import type { ComponentType } from 'preact';
import { match } from './router';
import type { IconName } from './ui/icons';

export type PageComponent = ComponentType<{ parts: Record<string, string> }>;

export interface PageEntry {
  patterns: string[];
  load: () => Promise<PageComponent>;
  /** Key in `NAV` that is lit while the page is shown. */
  nav: string;
}

export interface NavItem {
  path: string;
  label: string;
  icon: IconName;
  /** Second key of the shortcut `g …`. */
  key?: string;
}

export const NAV: NavItem[] = [
  { path: '/', label: 'Home', icon: 'home', key: 'h' },
  { path: '/dashboards', label: 'Dashboards', icon: 'boards', key: 'd' },
  { path: '/explore', label: 'Explore', icon: 'explore', key: 'e' },
  { path: '/alerts', label: 'Alerts', icon: 'bell', key: 'a' },
  { path: '/targets', label: 'Targets', icon: 'target', key: 't' },
  { path: '/rules', label: 'Rules', icon: 'rules', key: 'r' },
  { path: '/status', label: 'Status', icon: 'status', key: 's' },
];

export const PAGES: PageEntry[] = [
  { patterns: ['/'], nav: '/', load: async () => (await import('./pages/Home')).HomePage },
  { patterns: ['/dashboards'], nav: '/dashboards', load: async () => (await import('./dashboard/DashboardsPage')).DashboardsPage },
  {
    patterns: ['/d/:uid', '/d/:uid/:slug'],
    nav: '/dashboards',
    load: async () => (await import('./dashboard/DashboardPage')).DashboardPage,
  },
  {
    // `/graph` and `/query` are where Prometheus has it; links from alerts lead there.
    patterns: ['/explore', '/graph', '/query'],
    nav: '/explore',
    load: async () => (await import('./pages/Explore')).ExplorePage,
  },
  { patterns: ['/targets'], nav: '/targets', load: async () => (await import('./pages/Targets')).TargetsPage },
  { patterns: ['/alerts'], nav: '/alerts', load: async () => (await import('./pages/Alerts')).AlertsPage },
  { patterns: ['/rules'], nav: '/rules', load: async () => (await import('./pages/Rules')).RulesPage },
  {
    patterns: ['/status', '/status/:section', '/config', '/flags', '/tsdb-status'],
    nav: '/status',
    load: async () => (await import('./pages/Status')).StatusPage,
  },
  { patterns: ['*'], nav: '', load: async () => (await import('./pages/NotFound')).NotFound },
];

/** The page for a path, with the parts its pattern names. The last entry takes everything. */
export function pageFor(path: string): { page: PageEntry; parts: Record<string, string> } {
  for (const page of PAGES) {
    for (const pattern of page.patterns) {
      const parts = match(pattern, path);
      if (parts) return { page, parts };
    }
  }
  throw new Error('the last page matches every path');
}
