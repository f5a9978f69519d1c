/** Components that are fetched when they are first drawn; the dashboard's first load stays small. */
import type { ComponentType, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** A component that draws nothing until its module is there. A failed fetch is tried again at the next mount. */
export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): (props: P) => JSX.Element | null {
  let loaded: ComponentType<P> | undefined;
  return function Lazy(props: P) {
    const [, drawAgain] = useState(0);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (loaded) return undefined;
      let wanted = true;
      load().then(
        (component) => {
          loaded = component;
          if (wanted) drawAgain((n) => n + 1);
        },
        () => wanted && setFailed(true),
      );
      return () => { wanted = false; };
    }, []);
    const Component = loaded;
    if (Component) return <Component {...props} />;
    return failed ? <p class="chart-empty">This part of the page could not be fetched.</p> : null;
  };
}
