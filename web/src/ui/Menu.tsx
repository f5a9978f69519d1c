// A panel that opens under a button: closes on Escape, on a click elsewhere and when focus leaves. A sheet on phones.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

export function Menu(props: {
  label: string;
  title?: string;
  face: ComponentChildren;
  open: boolean;
  onOpen: (open: boolean) => void;
  class?: string;
  buttonClass?: string;
  children: ComponentChildren;
}): JSX.Element {
  const ref = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const { open, onOpen } = props;
  useEffect(() => {
    if (!open) return undefined;
    const onPointer = (event: PointerEvent): void => {
      if (!ref.current?.contains(event.target as Node)) onOpen(false);
    };
    document.addEventListener('pointerdown', onPointer);
    ref.current?.querySelector<HTMLElement>('.menu [autofocus], .menu [aria-checked=true], .menu button')?.focus();
    return () => document.removeEventListener('pointerdown', onPointer);
  }, [open]);
  const onKey = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape' || !open) return;
    event.stopPropagation();
    onOpen(false);
    button.current?.focus();
  };
  const onLeave = (event: FocusEvent): void => {
    if (event.relatedTarget instanceof Node && !ref.current?.contains(event.relatedTarget)) onOpen(false);
  };
  return (
    <div class="menu-anchor" ref={ref} onKeyDown={onKey} onFocusOut={onLeave}>
      <button
        ref={button}
        type="button"
        class={props.buttonClass ?? 'button'}
        aria-label={props.label}
        aria-expanded={open}
        title={props.title}
        onClick={() => onOpen(!open)}
      >
        {props.face}
      </button>
      {open && <div class={`menu ${props.class ?? ''}`}>{props.children}</div>}
    </div>
  );
}
