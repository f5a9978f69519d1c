/**
 * Text panels: markdown or HTML, sanitised.
 *
 * Here: no script, no event handler, no style sheet, nothing loaded from elsewhere
 * (a dashboard is a stranger's file). The two libraries are a chunk of their own.
 */
import { useEffect, useState } from 'preact/hooks';
import { interpolateText } from './interpolate';
import type { Scope } from './interpolate';
import { str } from './json';
import type { Json } from './json';
import { fillUrl } from './links';

/** Whether an image address stays on this server: one from elsewhere tells its server who reads the page. */
function isOwnImage(src: string): boolean {
  if (src.startsWith('data:image/')) return true;
  try {
    return new URL(src, document.baseURI).origin === location.origin;
  } catch {
    return false;
  }
}

let purifier: Promise<(html: string) => string> | undefined;

/** Loads the sanitiser once. Its document is inert: nothing is fetched before an attribute has passed the hook. */
function loadPurifier(): Promise<(html: string) => string> {
  purifier ??= import('dompurify').then(({ default: purify }) => {
    purify.addHook('afterSanitizeAttributes', (node) => {
      if (node.tagName === 'IMG' && !isOwnImage(node.getAttribute('src') ?? '')) {
        node.removeAttribute('src');
        node.setAttribute('alt', node.getAttribute('alt') || 'image from elsewhere, not loaded');
      }
      if (/url\s*\(|position\s*:|@import/i.test(node.getAttribute('style') ?? '')) node.removeAttribute('style');
    });
    return (html) =>
      purify.sanitize(html, {
        FORBID_TAGS: [
          'style',
          'form',
          'input',
          'button',
          'textarea',
          'iframe',
          'object',
          'embed',
          'link',
          'video',
          'audio',
          'picture',
          'source',
          'svg',
          'math',
        ],
        FORBID_ATTR: ['srcset', 'background', 'poster', 'id', 'name'],
      });
  });
  return purifier;
}

/** `content` as clean HTML with its links filled in. */
export async function sanitised(mode: string, content: string, scope: Scope): Promise<string> {
  const purify = await loadPurifier();
  const html = mode === 'html' ? content : (await import('marked')).marked.parse(content, { async: false, gfm: true });
  // A document of its own: attributes are changed before anything belongs to the page.
  const inert = new DOMParser().parseFromString(purify(html), 'text/html');
  for (const a of inert.querySelectorAll('a')) {
    const url = fillUrl(a.getAttribute('href') ?? '', scope);
    if (url) a.setAttribute('href', url);
    else a.removeAttribute('href');
    if (a.getAttribute('target') || /^https?:/.test(url)) {
      a.setAttribute('target', '_blank');
      a.setAttribute('rel', 'noreferrer');
    }
  }
  for (const img of inert.querySelectorAll('img:not([src])')) {
    const words = inert.createElement('em');
    words.textContent = img.getAttribute('alt');
    img.replaceWith(words);
  }
  return inert.body.innerHTML;
}

export function TextPanel({ options, scope }: { options: Json; scope: Scope }) {
  const mode = str(options.mode) ?? 'markdown';
  const content = interpolateText(str(options.content) ?? '', scope);
  const [html, setHtml] = useState<string | null>(null);
  useEffect(() => {
    if (mode === 'code') return undefined;
    let wanted = true;
    sanitised(mode, content, scope).then(
      (result) => wanted && setHtml(result),
      () => wanted && setHtml(null),
    );
    return () => {
      wanted = false;
    };
  }, [mode, content, scope]);
  if (mode === 'code' || html === null) return <pre class="panel-text pre">{mode === 'code' ? content : ''}</pre>;
  return <div class="panel-text" dangerouslySetInnerHTML={{ __html: html }} />;
}
