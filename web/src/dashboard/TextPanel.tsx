/**
 * Text panels: markdown or HTML, sanitised.
 *
 * Here: no script, no event handler, no style sheet, nothing loaded from elsewhere. The two libraries are a chunk of their own.
 */
import { useEffect, useState } from 'preact/hooks';
import { interpolateText } from './interpolate';
import type { Scope } from './interpolate';
import { str } from './json';
import type { Json } from './json';
import { safeUrl, fillUrl } from './links';

async function sanitised(mode: string, content: string, scope: Scope): Promise<string> {
  const { default: DOMPurify } = await import('dompurify');
  const html = mode === 'html' ? content : (await import('marked')).marked.parse(content, { async: false, gfm: true });
  const clean = DOMPurify.sanitize(html, {
    RETURN_DOM_FRAGMENT: true, FORBID_TAGS: ['style', 'form', 'input', 'button', 'textarea', 'iframe', 'object', 'embed', 'link', 'video', 'audio', 'svg'],
    FORBID_ATTR: ['srcset', 'background', 'poster', 'id'],
  });
  const box = document.createElement('div');
  box.append(clean);
  for (const a of box.querySelectorAll('a')) {
    const url = fillUrl(a.getAttribute('href') ?? '', scope) || safeUrl(a.getAttribute('href') ?? '');
    if (url) a.setAttribute('href', url);
    else a.removeAttribute('href');
    if (a.target || /^https?:/.test(url)) { a.target = '_blank'; a.rel = 'noreferrer'; }
  }
  for (const img of box.querySelectorAll('img')) {
    // An image from elsewhere tells its server who reads the page.
    if (!img.src.startsWith('data:') && new URL(img.src, document.baseURI).origin !== location.origin) img.replaceWith(img.alt || '[image]');
  }
  for (const e of box.querySelectorAll<HTMLElement>('[style]')) if (/url\s*\(|position\s*:/i.test(e.getAttribute('style') ?? '')) e.removeAttribute('style');
  return box.innerHTML;
}

export function TextPanel({ options, scope }: { options: Json; scope: Scope }) {
  const mode = str(options.mode) ?? 'markdown';
  const content = interpolateText(str(options.content) ?? '', scope);
  const [html, setHtml] = useState<string | null>(null);
  useEffect(() => {
    if (mode === 'code') return undefined;
    let wanted = true;
    sanitised(mode, content, scope).then((result) => wanted && setHtml(result), () => wanted && setHtml(null));
    return () => { wanted = false; };
  }, [mode, content, scope]);
  if (mode === 'code' || html === null) return <pre class="panel-text pre">{mode === 'code' ? content : ''}</pre>;
  return <div class="panel-text" dangerouslySetInnerHTML={{ __html: html }} />;
}
