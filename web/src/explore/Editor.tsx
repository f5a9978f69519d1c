// The PromQL editor: CodeMirror with completion, highlighting and marks under mistakes. A chunk of its own.
import { autocompletion, closeBrackets, completionStatus, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete';
import { syntaxHighlighting } from '@codemirror/language';
import { classHighlighter } from '@lezer/highlight';
import { newCompleteStrategy, PromQLExtension } from '@prometheus-io/codemirror-promql';
import { EditorView, minimalSetup } from 'codemirror';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { completionClient } from './completion';
import '../styles/editor.css';

export interface EditorProps {
  value: string;
  label: string;
  /** Take the focus when shown. */
  focus: boolean;
  onInput: (value: string) => void;
  onRun: () => void;
}

const client = completionClient();
const strategy = newCompleteStrategy({ remote: client });

/** The library's completion, except that a cut list of names is asked for again with every key. */
async function complete(context: CompletionContext): Promise<CompletionResult | null> {
  const result = await strategy.promQL(context);
  return result && client.manyNames() ? { ...result, validFor: undefined } : result;
}

function promql(): PromQLExtension {
  return new PromQLExtension().setComplete({ completeStrategy: { promQL: complete } });
}

/** Enter runs, as in Prometheus; with an open completion it chooses. Shift-Enter begins a line. */
function onKey(event: KeyboardEvent, view: EditorView, run: () => void): boolean {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return false;
  const command = event.ctrlKey || event.metaKey;
  if (!command && completionStatus(view.state) === 'active') return false;
  event.preventDefault();
  run();
  return true;
}

export function Editor(props: EditorProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef(props);
  latest.current = props;
  useEffect(() => {
    if (!host.current) return undefined;
    const editor = new EditorView({
      doc: props.value,
      parent: host.current,
      extensions: [
        EditorView.domEventHandlers({ keydown: (event, at) => onKey(event, at, () => latest.current.onRun()) }),
        minimalSetup,
        closeBrackets(),
        syntaxHighlighting(classHighlighter),
        promql().asExtension(),
        autocompletion({ icons: false, maxRenderedOptions: 60 }),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ 'aria-label': props.label }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) latest.current.onInput(update.state.doc.toString());
        }),
      ],
    });
    view.current = editor;
    if (props.focus) {
      editor.dispatch({ selection: { anchor: editor.state.doc.length } });
      editor.focus();
    }
    return () => editor.destroy();
  }, []);
  useEffect(() => {
    const editor = view.current;
    if (!editor || editor.state.doc.toString() === props.value) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: props.value } });
  }, [props.value]);
  return <div class="editor" ref={host} />;
}
