// A component whose code is fetched when it is first drawn; nothing is shown until it is here.
import type { Attributes, ComponentType, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';

export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): (props: P) => JSX.Element | null {
  let loaded: ComponentType<P> | undefined;
  return function Lazy(props: P) {
    const [, drawAgain] = useState(0);
    const [failed, setFailed] = useState<unknown>(undefined);
    useEffect(() => {
      if (loaded) return undefined;
      let wanted = true;
      load().then(
        (component) => {
          loaded = component;
          if (wanted) drawAgain(1);
        },
        (error: unknown) => wanted && setFailed(error),
      );
      return () => {
        wanted = false;
      };
    }, []);
    // The nearest boundary, or the console, is told: a chunk that cannot be fetched is no empty component.
    if (failed !== undefined) throw failed;
    const Component = loaded;
    return Component ? <Component {...(props as P & Attributes)} /> : null;
  };
}
