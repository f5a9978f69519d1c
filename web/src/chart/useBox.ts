/** The inner size of an element, kept up to date. Whole pixels, 0 before the first measure. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';

export interface Box {
  width: number;
  height: number;
}

export function useBox(): [(node: HTMLElement | null) => void, Box] {
  const [box, setBox] = useState<Box>({ width: 0, height: 0 });
  const observer = useRef<ResizeObserver | null>(null);
  const ref = useMemo(
    () => (node: HTMLElement | null) => {
      observer.current?.disconnect();
      observer.current = null;
      if (!node) return;
      const measure = () => {
        const next = { width: Math.floor(node.clientWidth), height: Math.floor(node.clientHeight) };
        setBox((old) => (old.width === next.width && old.height === next.height ? old : next));
      };
      measure();
      observer.current = new ResizeObserver(measure);
      observer.current.observe(node);
    },
    [],
  );
  useEffect(() => () => observer.current?.disconnect(), []);
  return [ref, box];
}
