// Start of the UI: the clocks and listeners that live as long as the document, then the frame.
import { render } from 'preact';
import { App } from './app';
import { startRefresh } from './range';
import { startRouter } from './router';
import { startShortcuts } from './shortcuts';
import { startSite } from './site';
import './styles/tokens.css';
import './styles/base.css';
import './styles/frame.css';
import { applyTheme } from './theme';

applyTheme();
startRouter();
startShortcuts();
startRefresh();
startSite();
render(<App />, document.getElementById('app') as HTMLElement);
