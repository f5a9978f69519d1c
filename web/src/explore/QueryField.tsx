// An expression to edit: a plain text field at once, the full editor as soon as its chunk is here.
import { signal } from '@preact/signals';
import type { ComponentType, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { EditorProps } from './Editor';

const editor = signal<ComponentType<EditorProps> | null>(null);

function loadEditor(): void {
  if (editor.peek()) return;
  import('./Editor').then(
    (module) => (editor.value = module.Editor),
    () => undefined, // Without the chunk the plain field stays; it can do all but complete.
  );
}

export function QueryField(props: EditorProps): JSX.Element {
  const field = useRef<HTMLTextAreaElement>(null);
  const focused = useRef(props.focus);
  useEffect(() => {
    loadEditor();
    if (props.focus) field.current?.focus();
  }, []);
  const Full = editor.value;
  if (Full) return <Full {...props} focus={focused.current} />;
  return (
    <textarea
      ref={field}
      class="editor-plain mono"
      rows={Math.max(1, props.value.split('\n').length)}
      aria-label={props.label}
      spellcheck={false}
      autocapitalize="off"
      value={props.value}
      onFocus={() => (focused.current = true)}
      onBlur={() => (focused.current = editor.peek() !== null)}
      onInput={(event) => props.onInput(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        props.onRun();
      }}
    />
  );
}
