// The PromQL editor: CodeMirror with completion, highlighting and marks under mistakes. A chunk of its own.
import { autocompletion, closeBrackets, closeCompletion, completionStatus, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete';
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
  closeCompletion(view); // Open or still asked for, it would cover the result.
  run();
  return true;
}

export function Editor(props: EditorProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  // Texts told to the parent that have not come back as `value` yet. A value among them is an echo, perhaps an old one:
  // putting it into the document would undo what was typed since.
  const echoes = useRef<string[]>([]);
  const applying = useRef(false);
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
          if (!update.docChanged || applying.current) return;
          const text = update.state.doc.toString();
          echoes.current.push(text);
          latest.current.onInput(text);
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
    if (!editor) return;
    if (editor.state.doc.toString() === props.value) {
      echoes.current = [];
      return;
    }
    const echo = echoes.current.lastIndexOf(props.value);
    if (echo >= 0) echoes.current.splice(0, echo + 1);
    if (echo >= 0) return;
    applying.current = true;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: props.value } });
    applying.current = false;
  });
  return <div class="editor" ref={host} />;
}
