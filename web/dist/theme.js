// Runs before the first paint, so that a chosen theme never flashes. `src/theme.ts` owns the key and the attribute.
try {
  var theme = localStorage.getItem('cairn.theme');
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
} catch (e) {
  // Storage may be blocked; the system's scheme then decides.
}
